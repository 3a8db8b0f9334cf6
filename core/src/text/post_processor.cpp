#include "text/post_processor.hpp"

#include <limits>

namespace qtk::text {
namespace {

void append_special(const JsonField& reference, const JsonField& tokens,
                    std::vector<int32_t>& ids) {
  const JsonField token = tokens.at(reference.at("id").text());
  for (const JsonField& id : token.at("ids").items())
    ids.push_back(static_cast<int32_t>(id.integer(0, std::numeric_limits<int32_t>::max())));
}

PostProcessor read_template(const JsonField& field) {
  field.allow_keys({"type", "single", "pair", "special_tokens"});
  PostProcessor added;
  const JsonField single = field.at("single");
  bool has_text = false;
  for (const JsonField& piece : single.items()) {
    piece.allow_keys({"Sequence", "SpecialToken"});
    if (const auto special = piece.find("SpecialToken")) {
      append_special(*special, field.at("special_tokens"), has_text ? added.behind : added.before);
    } else if (piece.at("Sequence").at("id").text() != "A" || has_text) {
      piece.fail("is not the one text `A` of a template for single texts");
    } else {
      has_text = true;
    }
  }
  if (!has_text) single.fail("does not contain the text `A`");
  return added;
}

}  // namespace

PostProcessor read_post_processor(const std::optional<JsonField>& field) {
  PostProcessor all;
  if (!field) return all;
  const std::string& type = field->type_among({"Sequence", "TemplateProcessing", "ByteLevel"});
  if (type == "TemplateProcessing") return read_template(*field);
  if (type == "ByteLevel") {
    field->allow_keys({"type", "add_prefix_space", "trim_offsets", "use_regex"});
    return all;
  }
  field->allow_keys({"type", "processors"});
  for (const JsonField& step : field->at("processors").items()) {
    const PostProcessor added = read_post_processor(step);
    all.before.insert(all.before.begin(), added.before.begin(), added.before.end());
    all.behind.insert(all.behind.end(), added.behind.begin(), added.behind.end());
  }
  return all;
}

}  // namespace qtk::text
