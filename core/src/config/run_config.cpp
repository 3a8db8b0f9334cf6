#include "config/run_config.hpp"

#include "config/run_config_rules.hpp"
#include "config/scalar.hpp"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

namespace qtk::config {
namespace {

/// A configuration of another version means something else, so nothing more is said about it.
bool check_version(const Node& root, Diagnostics& diagnostics) {
  const Node* node = root.find("qtk");
  if (!node) return true;  // reported as missing
  const Reading<int64_t> version = read_int(*node);
  if (!version.value || *version.value == kSchemaVersion) return true;
  const bool is_newer = *version.value > kSchemaVersion;
  diagnostics.error({"this configuration has schema version " + std::to_string(*version.value) +
                         ", this qtk reads version " + std::to_string(kSchemaVersion),
                     node->mark(), "qtk",
                     is_newer ? "install a newer qtk, or write the configuration for version " +
                                    std::to_string(kSchemaVersion)
                              : "the first version is 1"});
  return false;
}

std::string absolute(const std::string& path) {
  std::error_code error;
  const std::filesystem::path full = std::filesystem::absolute(path, error);
  return path.empty() || error ? path : full.lexically_normal().string();
}

void make_absolute(std::vector<std::string>& paths) {
  std::ranges::transform(paths, paths.begin(), absolute);
}

QuantizerSection laid_over(const QuantizerSection& base, const VariantSection& variant) {
  QuantizerSection quantizer = base;
  const bool is_other = !variant.use.empty() && variant.use != base.use;
  if (is_other) {
    quantizer.use = variant.use;
    quantizer.options = Node::map(variant.mark);
    quantizer.rules.clear();
  }
  quantizer.options.merge(variant.options);
  if (variant.rules) quantizer.rules = *variant.rules;
  quantizer.mark = variant.mark;
  quantizer.path = variant.path;
  return quantizer;
}

void check_exists(const std::string& name, const std::string& path, const Node& root,
                  Diagnostics& diagnostics) {
  std::error_code error;
  if (name.empty() || std::filesystem::exists(name, error)) return;
  const Node* node = find_path(root, path);
  diagnostics.error({"`" + path + "`: there is no file or folder " + name,
                     node ? node->mark() : SourceMark{}, path,
                     "paths are relative to the current folder, " +
                         std::filesystem::current_path(error).string()});
}

void check_exist(const std::vector<std::string>& names, const std::string& path, const Node& root,
                 Diagnostics& diagnostics) {
  const Node* node = find_path(root, path);
  const bool is_list = node && node->is_sequence();
  for (size_t i = 0; i < names.size(); ++i)
    check_exists(names[i], is_list ? child_path(path, i) : path, root, diagnostics);
}

}  // namespace

bool RunConfig::has_stage(std::string_view stage) const {
  return std::ranges::find(stages, stage) != stages.end();
}

RunConfig read_run_config(const Document& document, Diagnostics& diagnostics) {
  if (!document.is_readable || !check_version(document.root, diagnostics)) return {};
  RunConfig config = read_section<RunConfig>(&document.root, "", diagnostics);
  if (!document.root.find("stages")) config.stages = stages_with_a_section(config);
  check_rules(config, document.root, diagnostics);
  return config;
}

void check_files(const RunConfig& config, const Document& document, Diagnostics& diagnostics) {
  check_exists(config.model.path, "model.path", document.root, diagnostics);
  if (config.data.train) {
    check_exist(config.data.train->files, "data.train.files", document.root, diagnostics);
    check_exist(config.data.train->shards, "data.train.shards", document.root, diagnostics);
  }
  if (config.data.eval)
    check_exist(config.data.eval->files, "data.eval.files", document.root, diagnostics);
  if (config.data.calib)
    check_exist(config.data.calib->files, "data.calib.files", document.root, diagnostics);
  if (config.estimator)
    check_exists(config.estimator->file, "estimator.file", document.root, diagnostics);
  if (config.scheduler)
    check_exists(config.scheduler->sensitivity, "scheduler.sensitivity", document.root,
                 diagnostics);
  check_exist(config.plugins.path, "plugins.path", document.root, diagnostics);
}

std::vector<QuantizerVariant> quantizer_variants(const RunConfig& config) {
  const QuantizerSection base = config.quantizer.value_or(QuantizerSection{});
  std::vector<QuantizerVariant> variants;
  for (const VariantSection& variant : config.variants)
    variants.push_back({variant.name, laid_over(base, variant)});
  if (variants.empty() && config.quantizer) variants.push_back({base.use, base});
  return variants;
}

std::vector<std::string> result_names(const RunConfig& config) {
  std::vector<std::string> names;
  for (const QuantizerVariant& variant : quantizer_variants(config)) names.push_back(variant.name);
  if (names.empty() && config.train) names.emplace_back("dense");
  return names;
}

namespace {

/// Settings of several processes say nothing where there is one.
Node without_idle_sections(const Node& node) {
  Node kept = Node::map();
  for (size_t i = 0; i < node.items().size(); ++i) {
    const std::string& key = node.keys()[i].text;
    if (key != "parallel" && key != "comm" && key != "dist")
      kept.append(node.keys()[i], node.items()[i]);
  }
  return kept;
}

}  // namespace

Node resolved_node(const RunConfig& config) {
  RunConfig resolved = config;
  resolved.model.path = absolute(resolved.model.path);
  make_absolute(resolved.plugins.path);
  if (resolved.data.train) {
    make_absolute(resolved.data.train->files);
    make_absolute(resolved.data.train->shards);
  }
  if (resolved.data.calib) make_absolute(resolved.data.calib->files);
  if (resolved.data.eval) make_absolute(resolved.data.eval->files);
  if (resolved.scheduler)
    resolved.scheduler->sensitivity = absolute(resolved.scheduler->sensitivity);
  if (resolved.estimator) resolved.estimator->file = absolute(resolved.estimator->file);
  const Node node = section_node(resolved);
  return resolved.parallel.world() == 1 ? without_idle_sections(node) : node;
}

}  // namespace qtk::config
