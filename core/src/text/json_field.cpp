#include "text/json_field.hpp"

#include <qtk/runtime/error.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>

namespace qtk::text {
namespace {

constexpr int kMaxDepth = 64;

/// Deepest nesting of brackets outside strings.
int nesting_depth(std::string_view content) {
  int depth = 0, deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < content.size(); ++i) {
    const char c = content[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return deepest;
}

std::string listed(std::initializer_list<std::string_view> words) {
  std::string text;
  for (const std::string_view word : words) (text += text.empty() ? "" : ", ") += word;
  return text;
}

}  // namespace

nlohmann::json parse_json(std::string_view content, const std::string& file) {
  if (const int depth = nesting_depth(content); depth > kMaxDepth)
    throw DataError(file + " is nested " + std::to_string(depth) +
                        " levels deep, expected at most " + std::to_string(kMaxDepth),
                    "check that this is the right file");
  try {
    return nlohmann::json::parse(content);
  } catch (const nlohmann::json::exception& error) {
    const std::string_view text = error.what();
    const size_t bracket = text.find("] ");
    throw DataError(
        file + " is not JSON: " + std::string(text.substr(bracket == text.npos ? 0 : bracket + 2)),
        "download the file again");
  }
}

JsonField::JsonField(const nlohmann::json& value, std::string file, std::string path)
    : value_(&value), file_(std::move(file)), path_(std::move(path)) {}

JsonField JsonField::at(std::string_view key) const {
  if (!value_->is_object()) fail("is not an object");
  const auto member = value_->find(key);
  if (member == value_->end()) fail("has no member `" + std::string(key) + "`");
  return {*member, file_, path_.empty() ? std::string(key) : path_ + "." + std::string(key)};
}

std::optional<JsonField> JsonField::find(std::string_view key) const {
  if (!value_->is_object()) fail("is not an object");
  const auto member = value_->find(key);
  if (member == value_->end() || member->is_null()) return std::nullopt;
  return at(key);
}

std::vector<JsonField> JsonField::items() const {
  if (!value_->is_array()) fail("is not an array");
  std::vector<JsonField> fields;
  fields.reserve(value_->size());
  for (size_t i = 0; i < value_->size(); ++i)
    fields.emplace_back((*value_)[i], file_, path_ + "[" + std::to_string(i) + "]");
  return fields;
}

const std::string& JsonField::text() const {
  if (!value_->is_string()) fail("is not a string");
  return value_->get_ref<const std::string&>();
}

bool JsonField::flag() const {
  if (!value_->is_boolean()) fail("is not true or false");
  return value_->get<bool>();
}

int64_t JsonField::integer(int64_t least, int64_t most) const {
  const bool fits = value_->is_number_unsigned()
                        ? value_->get<uint64_t>() <= static_cast<uint64_t>(most)
                        : value_->is_number_integer() && value_->get<int64_t>() <= most;
  if (!fits || value_->get<int64_t>() < least)
    fail("is " + value_->dump() + ", expected an integer in [" + std::to_string(least) + ", " +
         std::to_string(most) + "]");
  return value_->get<int64_t>();
}

bool JsonField::flag_or(std::string_view key, bool missing) const {
  const auto field = find(key);
  return field ? field->flag() : missing;
}

void JsonField::allow_keys(std::initializer_list<std::string_view> keys) const {
  if (!value_->is_object()) fail("is not an object");
  for (const auto& [key, unused] : value_->items()) {
    if (std::find(keys.begin(), keys.end(), key) == keys.end())
      fail("has an unknown member `" + key + "` (known: " + listed(keys) + ")");
  }
}

const std::string& JsonField::type_among(std::initializer_list<std::string_view> known) const {
  const JsonField type = at("type");
  if (std::find(known.begin(), known.end(), type.text()) == known.end())
    type.fail(
        "is `" + type.text() + "`, which qtk does not implement (known: " + listed(known) + ")",
        "convert the model with a tokenizer of a supported kind");
  return type.text();
}

void JsonField::fail(const std::string& problem, const std::string& remedy) const {
  throw DataError(file_ + (path_.empty() ? ": the top level " : ": `" + path_ + "` ") + problem,
                  remedy);
}

}  // namespace qtk::text
