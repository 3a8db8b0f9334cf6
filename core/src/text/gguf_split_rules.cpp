#include "text/gguf_split_rules.hpp"

#include "text/json_field.hpp"

#include <qtk/runtime/error.hpp>

#include <nlohmann/json.hpp>

#include <array>

namespace qtk::text {
namespace {

using nlohmann::json;

constexpr const char* kLlama3Expression =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})"
    R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen2Expression =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})"
    R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kTekkenExpression =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

json byte_level(bool splits_words) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", true},
          {"use_regex", splits_words}};
}

json sequence(json first, json second) {
  return {{"type", "Sequence"},
          {"pretokenizers", json::array({std::move(first), std::move(second)})}};
}

json split_then_bytes(const char* expression) {
  return sequence({{"type", "Split"},
                   {"pattern", {{"Regex", expression}}},
                   {"behavior", "Isolated"},
                   {"invert", false}},
                  byte_level(false));
}

json gpt2() { return byte_level(true); }
json digits() {
  return sequence({{"type", "Digits"}, {"individual_digits", true}}, byte_level(true));
}
json llama3() { return split_then_bytes(kLlama3Expression); }
json qwen2() { return split_then_bytes(kQwen2Expression); }
json tekken() { return split_then_bytes(kTekkenExpression); }

// The first row of each rule is the one that is written.
constexpr std::array<SplitRule, 10> kRules = {{
    {"gpt-2", gpt2, false, false, false},
    {"default", gpt2, false, false, false},  // what converters wrote before rules had names
    {"smollm", digits, false, false, false},
    {"starcoder", digits, false, false, false},
    {"refact", digits, false, false, false},
    {"llama-bpe", llama3, false, true, true},
    {"llama3", llama3, false, true, true},
    {"llama-v3", llama3, false, true, true},
    {"qwen2", qwen2, true, false, false},
    {"tekken", tekken, false, true, true},
}};

std::string known_rules() {
  std::string names;
  for (const SplitRule& rule : kRules) (names += names.empty() ? "" : ", ") += rule.name;
  return names;
}

/// The same pre-tokenizer with defaults written out and without what does not change ids.
json canonical(const json& step) {
  if (!step.is_object()) return step;
  const std::string type = step.value("type", "");
  if (type == "Sequence" && step.contains("pretokenizers")) {
    json steps = json::array();
    for (const json& inner : step["pretokenizers"]) steps.push_back(canonical(inner));
    return steps.size() == 1 ? steps[0] : json{{"type", type}, {"pretokenizers", steps}};
  }
  json result = step;
  if (type == "ByteLevel") {
    result.erase("trim_offsets");
    result["use_regex"] = JsonField(step, "").flag_or("use_regex", true);
  } else if (type == "Split") {
    result["invert"] = JsonField(step, "").flag_or("invert", false);
  }
  return result;
}

}  // namespace

const SplitRule& split_rule(std::string_view name) {
  for (const SplitRule& rule : kRules) {
    if (rule.name == name) return rule;
  }
  throw DataError(
      "tokenizer.ggml.pre is `" + std::string(name) + "`, expected one of " + known_rules(),
      "import from the model's Hugging Face folder instead, which says how text is split");
}

const SplitRule& split_rule_of(const json& tokenizer, const std::string& file) {
  const json given = canonical(tokenizer.value("pre_tokenizer", json()));
  const json normalizer = tokenizer.value("normalizer", json());
  const bool ignores_merges =
      JsonField(tokenizer.at("model"), file, "model").flag_or("ignore_merges", false);
  for (const SplitRule& rule : kRules) {
    const json expected_normalizer = rule.composes ? json{{"type", "NFC"}} : json();
    if (given == canonical(rule.pre_tokenizer()) && normalizer == expected_normalizer &&
        ignores_merges == rule.ignores_merges)
      return rule;
  }
  throw DataError(
      file + " splits text by a rule that GGUF has no name for (its names: " + known_rules() + ")",
      "export to a Hugging Face folder instead");
}

}  // namespace qtk::text
