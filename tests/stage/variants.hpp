// Quantizer sections for tests, models quantized by them, and copies of the golden models.
#pragma once

#include "config/yaml_source.hpp"
#include "stage_fixtures.hpp"

#include <string>
#include <utility>
#include <vector>

namespace qtk::stage {

/// As read from YAML: options and rules (match, options) of the quantizer `affine`.
inline config::QuantizerSection affine_section(
    const std::string& options,
    const std::vector<std::pair<std::string, std::string>>& rules = {}) {
  config::Diagnostics diagnostics;
  const auto node = [&](const std::string& yaml) {
    return config::parse_yaml(yaml, {.file = "test.yaml"}, diagnostics).value();
  };
  config::QuantizerSection section;
  section.use = "affine";
  section.options = node(options);
  section.path = "quantizer";
  for (const auto& [match, changed] : rules) {
    config::SiteRule rule;
    rule.match = match;
    rule.options = node(changed);
    section.rules.push_back(std::move(rule));
  }
  diagnostics.throw_if_any();
  return section;
}

inline std::vector<SiteOutcome> quantize_to(const fs::path& source, const fs::path& folder,
                                            const config::QuantizerSection& section,
                                            RunContext& context,
                                            c10::optional<at::ScalarType> rest = {}) {
  const auto decoder = model::Decoder::load(source);
  const auto plan = plan_quantizers(section, decoder->sites(), context);
  return write_packed_model(source, *decoder, plan, folder, rest, "test");
}

/// A golden model with a tokenizer of as many tokens as it has embeddings. Returns `folder`.
inline fs::path copy_golden(const std::string& name, const fs::path& folder) {
  fs::create_directories(folder);
  for (const auto& entry :
       fs::directory_iterator(fs::path(QTK_SOURCE_DIR) / "tests/golden/model" / name))
    if (entry.path().filename() != "expected.safetensors")
      fs::copy(entry.path(), folder / entry.path().filename());
  tiny::write_tokenizer(folder, {.alphabet = "abcdefghijklmnopqrstuvwxyz .\n", .tokens = 96});
  return folder;
}

}  // namespace qtk::stage
