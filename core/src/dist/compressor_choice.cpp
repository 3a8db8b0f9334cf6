#include "dist/compressor_choice.hpp"

#include "config/options.hpp"
#include "config/override.hpp"

#include <qtk/runtime/error.hpp>

#include <algorithm>

namespace qtk::dist {
namespace {

constexpr const char* kKind = "comm";

/// Parts between separators that stand outside of brackets and braces.
std::vector<std::string> split_outside_brackets(const std::string& text, char separator) {
  std::vector<std::string> parts = {""};
  int depth = 0;
  for (const char c : text) {
    depth += (c == '[' || c == '{') - (c == ']' || c == '}');
    if (c == separator && depth == 0)
      parts.emplace_back();
    else
      parts.back() += c;
  }
  return parts;
}

}  // namespace

CompressorChoice compressor_choice(const std::string& text) {
  const auto parts = split_outside_brackets(text, ':');
  CompressorChoice choice{.label = text, .use = parts[0]};
  const OptionTable& table = plugin::registry().option_table(kKind, choice.use);
  config::Diagnostics diagnostics;
  config::Node options = config::Node::map();
  for (size_t i = 1; i < parts.size(); ++i) config::apply_override(parts[i], options, diagnostics);
  diagnostics.throw_if_any();
  choice.options = config::resolve_options(table, &options, text, "compressor `" + choice.use + "`",
                                           diagnostics);
  diagnostics.throw_if_any();
  return choice;
}

std::vector<CompressorChoice> compressor_choices(const std::string& text) {
  std::vector<CompressorChoice> choices;
  for (const auto& part : split_outside_brackets(text, ',')) {
    if (part.empty())
      throw ConfigError("'" + text + "' names an empty compressor",
                        "write NAME:OPTION=VALUE,NAME, ...");
    choices.push_back(compressor_choice(part));
  }
  return choices;
}

std::vector<CompressorChoice> found_compressors() {
  std::vector<CompressorChoice> choices;
  for (const auto& listing : plugin::registry().list()) {
    const auto& manifest = listing.manifest;
    if (!manifest || manifest->kind != kKind || listing.is_hidden || !listing.problem.empty())
      continue;
    choices.push_back({manifest->name, manifest->name, {}});
  }
  std::ranges::sort(choices, {}, &CompressorChoice::label);
  return choices;
}

plugin::PluginPtr<Compressor> make_compressor(const CompressorChoice& choice, RunContext& context) {
  return plugin::registry().make<Compressor>(choice.use, choice.options, context);
}

}  // namespace qtk::dist
