#include "text/special_token_names.hpp"

#include "base/atomic_file.hpp"
#include "text/json_field.hpp"

#include <nlohmann/json.hpp>

namespace qtk::text {
namespace {

constexpr int64_t kMaxFileBytes = 64 << 20;

/// A token is written as a string or as an object with its flags.
void read_part(const JsonField& file, std::string_view key, SpecialTokenNames::Part& part) {
  if (part.is_mentioned || !file.value().contains(key)) return;
  part.is_mentioned = true;
  if (const auto field = file.find(key))
    part.token = field->value().is_object() ? field->at("content").text() : field->text();
}

}  // namespace

SpecialTokenNames read_special_token_names(const std::filesystem::path& folder) {
  SpecialTokenNames names;
  for (const char* name : {"tokenizer_config.json", "special_tokens_map.json"}) {
    const auto path = folder / name;
    if (!std::filesystem::exists(path)) continue;
    const nlohmann::json document = parse_json(read_text_file(path, kMaxFileBytes), path.string());
    const JsonField file(document, path.string());
    if (!document.is_object()) file.fail("is not an object");
    read_part(file, "bos_token", names.bos);
    read_part(file, "eos_token", names.eos);
    read_part(file, "unk_token", names.unk);
    read_part(file, "pad_token", names.pad);
  }
  return names;
}

}  // namespace qtk::text
