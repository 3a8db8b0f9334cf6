#include "config/yaml_events.hpp"

#include "config/utf8.hpp"

#include <algorithm>
#include <utility>

namespace qtk::config {
namespace {

size_t offset_of(const YAML::Mark& mark) { return static_cast<size_t>(std::max(mark.pos, 0)); }

// yaml-cpp's names for "no tag": of a plain and of a quoted scalar.
constexpr std::string_view kPlainTag = "?";
constexpr std::string_view kQuotedTag = "!";

}  // namespace

void YamlEvents::OnDocumentStart(const YAML::Mark& mark) {
  if (std::exchange(has_document_, true))
    throw YamlRefusal{
        {"text after the end of the document", offset_of(mark),
         "a configuration is one YAML document: check `---` lines and the indentation"}};
}

void YamlEvents::OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) {
  add_scalar({.type = YamlEvent::Type::kNull, .offset = offset_of(mark)}, anchor);
}

void YamlEvents::OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                          const std::string& value) {
  if (value.find('\0') != value.npos)
    throw YamlRefusal{{"a text with a zero byte", offset_of(mark), "remove the \\0"}};
  // yaml-cpp gives \_ and \N as single bytes.
  if (!is_utf8(value))
    throw YamlRefusal{
        {"an escape that is not UTF-8", offset_of(mark), "write the character itself"}};
  const bool is_quoted = tag == kQuotedTag;
  if (!is_quoted) check_tag(tag, offset_of(mark));
  add_scalar({.type = YamlEvent::Type::kScalar,
              .offset = offset_of(mark),
              .text = value,
              .is_quoted = is_quoted},
             anchor);
}

void YamlEvents::OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) {
  const Anchored& target = anchored(anchor);
  if (target.is_open)
    throw YamlRefusal{
        {"an alias that stands inside what it refers to", offset_of(mark), "write the value out"}};
  if (static_cast<int>(open_.size()) + target.height > YamlLimits::kDepth)
    throw YamlRefusal{too_deep(offset_of(mark))};
  if (!open_.empty()) open_.back().height = std::max(open_.back().height, target.height + 1);
  add({.type = YamlEvent::Type::kAlias, .offset = offset_of(mark), .target = target.event},
      target.nodes);
}

void YamlEvents::OnSequenceStart(const YAML::Mark& mark, const std::string& tag,
                                 YAML::anchor_t anchor, YAML::EmitterStyle::value) {
  open(YamlEvent::Type::kSequence, mark, tag, anchor);
}

void YamlEvents::OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                            YAML::EmitterStyle::value) {
  open(YamlEvent::Type::kMap, mark, tag, anchor);
}

void YamlEvents::add(YamlEvent event, int64_t nodes) {
  nodes_ += nodes;  // both terms are at most kNodes, so this cannot overflow
  if (nodes_ > YamlLimits::kNodes) throw YamlRefusal{too_many_nodes(event.offset)};
  events_.push_back(std::move(event));
}

void YamlEvents::add_scalar(YamlEvent event, YAML::anchor_t anchor) {
  add(std::move(event));
  if (anchor) anchored(anchor) = {.event = events_.size() - 1, .nodes = 1};
}

void YamlEvents::open(YamlEvent::Type type, const YAML::Mark& mark, const std::string& tag,
                      YAML::anchor_t anchor) {
  check_tag(tag, offset_of(mark));
  if (static_cast<int>(open_.size()) >= YamlLimits::kDepth)
    throw YamlRefusal{too_deep(offset_of(mark))};
  open_.push_back({.anchor = anchor, .nodes_before = nodes_});
  add({.type = type, .offset = offset_of(mark)});
  if (anchor) anchored(anchor) = {.event = events_.size() - 1, .is_open = true};
}

void YamlEvents::close() {
  const Open closed = open_.back();
  open_.pop_back();
  if (!open_.empty()) open_.back().height = std::max(open_.back().height, closed.height + 1);
  events_.push_back({.type = YamlEvent::Type::kEnd});
  if (!closed.anchor) return;
  Anchored& target = anchored(closed.anchor);
  target.nodes = nodes_ - closed.nodes_before;
  target.height = closed.height;
  target.is_open = false;
}

void YamlEvents::check_tag(const std::string& tag, size_t offset) {
  if (!tag.empty() && tag != kPlainTag) tagged_offsets_.push_back(offset);
}

YamlEvents::Anchored& YamlEvents::anchored(YAML::anchor_t anchor) {
  if (anchors_.size() <= anchor) anchors_.resize(anchor + 1);
  return anchors_[anchor];
}

}  // namespace qtk::config
