#include "config/yaml_source.hpp"

#include "config/utf8.hpp"
#include "config/yaml_events.hpp"

#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <sstream>
#include <unordered_map>
#include <utility>

namespace qtk::config {
namespace {

/// Bytes of the text -> line and column. Neighbouring questions are cheap: it walks from the last
/// answer.
class Positions {
 public:
  Positions(std::string_view text, const YamlOrigin& origin) : text_(text), origin_(origin) {}

  SourceMark mark(size_t offset) {
    offset = std::min(offset, text_.size());
    while (at_ < offset) forward();
    while (at_ > offset) backward();
    return {origin_.file, line_, column_ + (line_ == 1 ? origin_.first_column - 1 : 0)};
  }

 private:
  void forward() {
    const char c = text_[at_++];
    if (c == '\n') {
      ++line_;
      column_ = 1;
    } else if (!is_utf8_continuation(c)) {
      ++column_;
    }
  }

  void backward() {
    const char c = text_[--at_];
    if (c == '\n') {
      --line_;
      column_ = 1;
      const size_t line_start = at_ == 0 ? 0 : text_.rfind('\n', at_ - 1) + 1;
      for (size_t i = line_start; i < at_; ++i) column_ += !is_utf8_continuation(text_[i]);
    } else if (!is_utf8_continuation(c)) {
      --column_;
    }
  }

  std::string_view text_;
  const YamlOrigin& origin_;
  size_t at_ = 0;
  int line_ = 1;
  int column_ = 1;
};

/// Events -> Node. Recursion is bounded by YamlLimits::kDepth, which the events respect with
/// aliases expanded.
class TreeBuilder {
 public:
  TreeBuilder(const std::vector<YamlEvent>& events, Positions& positions, Diagnostics& diagnostics)
      : events_(events), positions_(positions), diagnostics_(diagnostics) {}

  Node build(const std::string& path) {
    const YamlEvent& event = events_[next_++];
    switch (event.type) {
      case YamlEvent::Type::kScalar:
        return Node::scalar(event.text,
                            event.is_quoted ? ScalarStyle::kQuoted : ScalarStyle::kPlain,
                            positions_.mark(event.offset));
      case YamlEvent::Type::kSequence:
        return build_sequence(event, path);
      case YamlEvent::Type::kMap:
        return build_map(event, path);
      case YamlEvent::Type::kAlias:
        return build_alias(event, path);
      default:
        return Node::null(positions_.mark(event.offset));
    }
  }

 private:
  Node build_sequence(const YamlEvent& event, const std::string& path) {
    Node sequence = Node::sequence(positions_.mark(event.offset));
    while (events_[next_].type != YamlEvent::Type::kEnd)
      sequence.append(build(child_path(path, sequence.items().size())));
    ++next_;
    return sequence;
  }

  Node build_map(const YamlEvent& event, const std::string& path) {
    Node map = Node::map(positions_.mark(event.offset));
    std::unordered_map<std::string, SourceMark> written;
    while (events_[next_].type != YamlEvent::Type::kEnd) {
      const YamlEvent& key = events_[next_];
      const SourceMark mark = positions_.mark(key.offset);
      if (key.type != YamlEvent::Type::kScalar) {
        build(path);
        report({"a key that is not a name", mark, path,
                "keys are plain words: letters, digits, `_` and `-`"});
        build(path);
        continue;
      }
      ++next_;
      const std::string value_path = child_path(path, key.text);
      Node value = build(value_path);
      // An absent value has no place of its own; yaml-cpp puts it where the next token stands.
      if (value.is_null()) value = Node::null(mark);
      if (is_acceptable(key.text, mark, value_path, written))
        map.append({key.text, mark}, std::move(value));
    }
    ++next_;
    return map;
  }

  Node build_alias(const YamlEvent& event, const std::string& path) {
    const size_t after = std::exchange(next_, event.target);
    ++alias_depth_;
    Node node = build(path);
    --alias_depth_;
    next_ = after;
    return node;
  }

  bool is_acceptable(const std::string& key, const SourceMark& mark, const std::string& path,
                     std::unordered_map<std::string, SourceMark>& written) {
    if (key == "<<") {
      report({"merge keys `<<` are not supported", mark, path,
              "put the shared part into a file of its own and write  include: [base.yaml]"});
      return false;
    }
    const auto [first, is_new] = written.emplace(key, mark);
    if (!is_new)
      report({"duplicate key `" + key + "`, first written at " + to_string(first->second), mark,
              path, "remove one of the two"});
    return is_new;
  }

  /// What stands behind an anchor was reported where it was written.
  void report(Problem problem) {
    if (alias_depth_ == 0) diagnostics_.error(std::move(problem));
  }

  const std::vector<YamlEvent>& events_;
  Positions& positions_;
  Diagnostics& diagnostics_;
  size_t next_ = 0;
  int alias_depth_ = 0;
};

std::string with_unix_line_ends(std::string_view text) {
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  std::string clean;
  clean.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i)
    if (text[i] != '\r' || i + 1 == text.size() || text[i + 1] != '\n') clean += text[i];
  return clean;
}

std::string remedy_for_syntax(const std::string& message) {
  const auto says = [&](const char* part) { return message.find(part) != message.npos; };
  if (says("illegal map value"))
    return "put quotes around a value that contains `: `, and check the indentation";
  if (says("sequence flow not found")) return "a list that starts with `[` needs its `]`";
  if (says("map flow not found")) return "a map that starts with `{` needs its `}`";
  if (says("end of map") || says("end of sequence"))
    return "check the indentation of this line and of the lines above it";
  if (says("anchor")) return "an alias `*name` needs `&name` before it";
  if (says("unknown escape")) return "use single quotes, in which a backslash is a backslash";
  if (says("unknown token")) return "put quotes around a value that starts with %, @ or `";
  return "check quotes, brackets and indentation around this place";
}

/// Runs yaml-cpp over the text. @returns what stopped it
std::optional<YamlHazard> record(const std::string& text, YamlEvents& events) {
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    if (parser.HandleNextDocument(events)) parser.HandleNextDocument(events);
  } catch (const YamlRefusal& refusal) {
    return refusal.hazard;
  } catch (const YAML::Exception& error) {
    const size_t offset =
        error.mark.is_null() ? 0 : static_cast<size_t>(std::max(error.mark.pos, 0));
    return YamlHazard{"not valid YAML: " + error.msg, offset, remedy_for_syntax(error.msg)};
  }
  return std::nullopt;
}

}  // namespace

std::optional<Node> parse_yaml(std::string_view raw, const YamlOrigin& origin,
                               Diagnostics& diagnostics) {
  // Before the text is copied.
  std::optional<YamlHazard> hazard = find_size_hazard(raw);
  const std::string text = hazard ? std::string{} : with_unix_line_ends(raw);
  Positions positions(text, origin);
  YamlEvents events;
  if (!hazard) hazard = find_yaml_hazard(text);
  if (!hazard) hazard = record(text, events);
  if (hazard) {
    diagnostics.error(
        {hazard->message, positions.mark(hazard->offset), origin.path, hazard->remedy});
    return std::nullopt;
  }
  for (const size_t offset : events.tagged_offsets())
    diagnostics.error({"tags such as `!name` are not supported", positions.mark(offset),
                       origin.path,
                       "remove the tag; put quotes around a text that starts with `!`"});
  if (events.events().empty()) return Node::null({origin.file, 1, origin.first_column});
  return TreeBuilder(events.events(), positions, diagnostics).build(origin.path);
}

}  // namespace qtk::config
