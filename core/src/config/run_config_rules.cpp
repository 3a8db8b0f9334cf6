#include "config/run_config_rules.hpp"

#include "base/nearest_name.hpp"
#include "config/site_pattern.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>
#include <utility>

namespace qtk::config {
namespace {

constexpr size_t kLongestName = 64;

/// [a-z0-9][a-z0-9_-]*: names become folders, on file systems that ignore case too.
bool is_run_name(std::string_view name) {
  const auto starts = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  const auto goes_on = [&](char c) { return starts(c) || c == '_' || c == '-'; };
  return !name.empty() && name.size() <= kLongestName && starts(name.front()) &&
         std::ranges::all_of(name, goes_on);
}

bool is_device(std::string_view name) {
  if (name == "auto" || name == "cpu" || name == "cuda") return true;
  constexpr std::string_view kIndexed = "cuda:";
  if (!name.starts_with(kIndexed)) return false;
  name.remove_prefix(kIndexed.size());
  const bool is_number = name.find_first_not_of("0123456789") == name.npos;
  return is_number && !name.empty() && name.size() <= 3 &&
         (name.size() == 1 || name.front() != '0');
}

/// Which keys of an export mean something to which format; the others would be settings without
/// effect.
struct ExportKeys {
  std::string_view use;
  std::set<std::string_view> keys;
};

const std::array<ExportKeys, 3>& export_keys() {
  static const std::array<ExportKeys, 3> table = {
      ExportKeys{"hf-dense", {"dtype", "dir"}}, ExportKeys{"gguf", {"type", "file"}},
      ExportKeys{"compressed-tensors", {"dtype", "dir"}}};
  return table;
}

class Rules {
 public:
  Rules(const RunConfig& config, const Node& root, Diagnostics& diagnostics)
      : config_(config), root_(root), diagnostics_(diagnostics) {}

  void check() {
    check_names();
    check_paths();
    check_stages();
    check_needs();
    check_train();
    check_parallel();
    check_eval();
    check_calibration();
    if (config_.quantizer) check_quantizer(*config_.quantizer);
    check_variants();
    for (const ExportSection& target : config_.exports) check_export(target);
  }

 private:
  void check_names() {
    if (given("name") && !is_run_name(config_.name))
      fail("name", "`" + config_.name + "` is no name for a run",
           "lower-case letters, digits, `_` and `-`, starting with a letter or digit, at most " +
               std::to_string(kLongestName));
    if (!is_device(config_.device))
      fail("device", "unknown device `" + config_.device + "`", "auto, cpu, cuda or cuda:N");
  }

  void check_paths() {
    if (config_.out.empty()) fail("out", "`out` is empty", "name a folder, or remove the key");
    refuse_empty_texts("plugins.path", config_.plugins.path);
  }

  void check_stages() {
    if (given("stages") && config_.stages.empty())
      fail("stages", "there are no stages to run",
           "remove the key to run all that the sections allow");
    for (size_t i = 1; i < config_.stages.size(); ++i) {
      const std::string& before = config_.stages[i - 1];
      const std::string& stage = config_.stages[i];
      if (order_of(before) < order_of(stage)) continue;
      fail(child_path("stages", i), order_fault(before, stage),
           "the order is: " +
               join(std::vector<std::string>(kStageNames.begin(), kStageNames.end())));
    }
  }

  static std::string order_fault(const std::string& before, const std::string& stage) {
    if (before == stage) return "stage `" + stage + "` stands there twice";
    return "stage `" + stage + "` cannot run after `" + before + "`";
  }

  static int64_t order_of(std::string_view stage) {
    return std::ranges::find(kStageNames, stage) - kStageNames.begin();
  }

  /// A stage without its section fails; a section without its stage is a setting without effect.
  void check_needs() {
    need("calibrate", config_.estimator.has_value(), "estimator");
    const bool quantizes = config_.quantizer.has_value() || !config_.variants.empty();
    if (!config_.has_stage("train")) need("quantize", quantizes, "quantizer");
    need("train", config_.train.has_value(), "train");
    if (config_.has_stage("train"))
      need("train", config_.data.train.has_value(), "data.train");
    else
      for (const char* section : {"data.train", "optimizer", "scheduler"})
        warn_if_unused("train", section);
    if (!is_evaluated_in_training()) need("eval", config_.data.eval.has_value(), "data.eval");
    need("export", !config_.exports.empty(), "export");
    if (config_.has_stage("report") && !config_.report.html)
      fail("report.html", "stage `report` has nothing to write",
           "set it to true, or remove the stage");
  }

  bool is_evaluated_in_training() const {
    return config_.data.eval && config_.has_stage("train") && config_.train &&
           config_.train->eval_every > 0;
  }

  void need(const std::string& stage, bool has_section, const std::string& section) {
    if (has_section) return warn_if_unused(stage, section);
    if (!config_.has_stage(stage) || is_broken(section)) return;
    const auto index =
        static_cast<size_t>(std::ranges::find(config_.stages, stage) - config_.stages.begin());
    fail(child_path("stages", index), "stage `" + stage + "` needs `" + section + "`",
         "add `" + section + "`, or list `stages` without `" + stage + "`");
  }

  void warn_if_unused(const std::string& stage, const std::string& section) {
    const bool has_stages = !config_.stages.empty();  // else they could not be read
    if (has_stages && !config_.has_stage(stage) && given(section))
      diagnostics_.warn({"`" + section + "` has no effect: `stages` does not list `" + stage + "`",
                         mark(section), section, "add the stage, or remove the section"});
  }

  /// It stands there but could not be read, which has been reported.
  bool is_broken(const std::string& section) const {
    const Node* node = find_path(root_, section.substr(0, section.find('.')));
    return node && !node->is_map() && !node->is_sequence();
  }

  void check_train() {
    if (config_.has_stage("train") && config_.has_stage("quantize"))
      fail("stages", "`train` packs the variants itself, so `quantize` would overwrite them",
           "remove `quantize` from `stages`");
    if (config_.data.train) check_train_data(*config_.data.train);
    if (config_.optimizer) check_optimizer(*config_.optimizer);
    if (!config_.train) return;
    const TrainSection& train = *config_.train;
    const int lengths = (train.tokens > 0) + (train.steps > 0) + (train.epochs > 0);
    if (lengths != 1 && given("train"))
      fail("train", "`train` has " + std::to_string(lengths) + " of tokens, steps and epochs",
           "give exactly one of them, for example  steps: 1000");
    if (train.global_batch % train.micro_batch != 0)
      fail("train.micro_batch",
           "`train.micro_batch` = " + std::to_string(train.micro_batch) +
               " does not divide `train.global_batch` = " + std::to_string(train.global_batch),
           "choose a divisor");
    if (train.result == "best" && train.eval_every == 0)
      fail("train.result", "`train.result: best` needs `train.eval_every`",
           "set how often to evaluate, or remove the key");
    if (config_.scheduler && config_.has_stage("train") && !config_.quantizer &&
        config_.variants.empty())
      fail("scheduler",
           "`scheduler` has no effect: there is no quantizer whose knobs it could drive",
           "add `quantizer`, or remove the section; learning rates: train.lr_schedule");
    if (train.eval_every > 0 && !config_.data.eval)
      fail("train.eval_every", "`train.eval_every` needs `data.eval`",
           "add `data.eval`, or remove the key");
  }

  void check_parallel() {
    const ParallelSection& parallel = config_.parallel;
    if (parallel.world() == 1) return warn_of_idle_links();
    if (!config_.train || !config_.has_stage("train"))
      return fail("parallel", "`parallel` has no effect: nothing is trained",
                  "add `train`, or remove the section");
    const TrainSection& train = *config_.train;
    if (train.global_batch % (parallel.data * train.micro_batch) != 0)
      fail("train.global_batch",
           "`train.global_batch` = " + std::to_string(train.global_batch) +
               " is no multiple of parallel.data * train.micro_batch = " +
               std::to_string(parallel.data * train.micro_batch),
           "every replica works on the same number of micro-batches");
    if (train.distill.weight > 0)
      fail("train.distill.weight", "`train.distill` needs the whole model in one process",
           "remove it, or train with parallel.data: 1 and parallel.pipeline: 1");
    if (parallel.shard_optimizer && parallel.data == 1)
      fail("parallel.shard_optimizer",
           "`parallel.shard_optimizer` has no effect: there is one replica",
           "remove the key, or raise parallel.data");
    if (config_.comm.data && parallel.data == 1)
      fail("comm.data", "`comm.data` has no effect: there is one replica",
           "remove the section, or raise parallel.data");
    for (const char* direction : {"forward", "backward"})
      if (parallel.pipeline == 1 && given(child_path("comm", direction)))
        fail(child_path("comm", direction),
             "`comm." + std::string(direction) + "` has no effect: there is one pipeline stage",
             "remove the section, or raise parallel.pipeline");
  }

  void warn_of_idle_links() {
    for (const char* section : {"comm", "dist"})
      if (given(section))
        diagnostics_.warn({"`" + std::string(section) + "` has no effect: there is one process",
                           mark(section), section, "raise parallel.pipeline or parallel.data"});
  }

  void check_train_data(const TrainData& data) {
    refuse_empty_texts("data.train.files", data.files);
    refuse_empty_texts("data.train.shards", data.shards);
    if (data.files.empty() == data.shards.empty())
      fail("data.train",
           data.files.empty() ? "`data.train` has neither `files` nor `shards`"
                              : "`data.train` has both `files` and `shards`",
           "give one of them");
    if (data.shards.empty()) return;
    if (data.packing != "packed")
      fail("data.train.packing", "token shards do not say where documents begin",
           "use packing: packed, or give texts");
    for (const char* key : {"format", "field"})
      if (given(child_path("data.train", key)))
        fail(child_path("data.train", key),
             "`" + std::string(key) + "` has no effect on token shards", "remove the key");
  }

  void check_optimizer(const OptimizerSection& optimizer) {
    check_betas("optimizer", optimizer.betas);
    for (const auto& [name, group] : optimizer.groups)
      if (!group.betas.empty())
        check_betas(child_path(child_path("optimizer", "groups"), name), group.betas);
  }

  void check_betas(const std::string& path, const std::vector<double>& betas) {
    if (betas.size() != 2 || std::ranges::any_of(betas, [](double b) { return b >= 1; }))
      fail(child_path(path, "betas"), "`betas` must be two numbers in [0, 1)",
           "for example  betas: [0.9, 0.95]");
  }

  void check_eval() {
    if (!config_.data.eval) return;
    refuse_empty_texts("data.eval.files", config_.data.eval->files);
    refuse_repeats("data.eval.protocol", config_.data.eval->protocol);
    if (given("data.eval.protocol") && config_.data.eval->protocol.empty())
      fail("data.eval.protocol", "there is no protocol to measure by",
           "remove the key to get ppl_token");
  }

  void check_calibration() {
    if (config_.data.calib) refuse_empty_texts("data.calib.files", config_.data.calib->files);
    if (!config_.estimator) {
      if (config_.data.calib && given("data.calib"))
        diagnostics_.warn({"`data.calib` has no effect: there is no `estimator`",
                           mark("data.calib"), "data.calib", "add one, or remove the section"});
      return;
    }
    const EstimatorSection& estimator = *config_.estimator;
    const bool measures = !estimator.use.empty(), reads = !estimator.file.empty();
    if (measures == reads)
      fail("estimator",
           measures ? "`estimator` has both `use` and `file`"
                    : "`estimator` has neither `use` nor `file`",
           "`use: hutchinson` measures, `file: path/to/sensitivity.json` reads");
    else if (measures && !config_.data.calib && !is_broken("data.calib"))
      fail("estimator.use", "an estimator needs `data.calib`",
           "add it:  data: {calib: {files: [...]}}");
    if (reads) refuse_settings_of_measuring(estimator);
    check_granularity(estimator.granularity);
    check_patterns("estimator.targets", estimator.targets);
    check_patterns("estimator.skip", estimator.skip);
  }

  void refuse_settings_of_measuring(const EstimatorSection& estimator) {
    const EstimatorSection usual;
    const auto refuse = [&](const char* key, bool is_set) {
      if (is_set)
        fail(child_path("estimator", key),
             "`" + std::string(key) + "` has no effect on a file that was measured before",
             "remove the key");
    };
    refuse("options", !estimator.options.items().empty());
    refuse("granularity", estimator.granularity != usual.granularity);
    refuse("targets", estimator.targets != usual.targets);
    refuse("skip", estimator.skip != usual.skip);
  }

  void check_granularity(const std::vector<std::string>& granularity) {
    const std::string path = "estimator.granularity";
    if (granularity.empty())
      return fail(path, "there is no granularity", "remove the key to get tensor");
    const bool is_known =
        std::ranges::find(kGranularities, granularity.front()) != kGranularities.end();
    if (granularity.size() == 1 && is_known) return;
    if (granularity.size() == 1 && !granularity.front().starts_with("re:"))
      return fail(path, "unknown granularity `" + granularity.front() + "`",
                  "tensor, layer, component, or patterns: [\"re:.*q_proj\", ...]");
    check_patterns(path, granularity);
  }

  void check_quantizer(const QuantizerSection& quantizer) {
    if (quantizer.targets.empty())
      fail("quantizer.targets", "there are no sites to quantize",
           "remove the key to quantize every site");
    check_patterns("quantizer.targets", quantizer.targets);
    check_patterns("quantizer.skip", quantizer.skip);
    check_site_rules(quantizer.rules);
  }

  void check_site_rules(const std::vector<SiteRule>& rules) {
    for (const SiteRule& rule : rules)
      if (!rule.match.empty()) check_pattern(child_path(rule.path, "match"), rule.match);
  }

  void check_patterns(const std::string& path, const std::vector<std::string>& patterns) {
    for (size_t i = 0; i < patterns.size(); ++i) check_pattern(child_path(path, i), patterns[i]);
  }

  void check_pattern(const std::string& path, const std::string& pattern) {
    try {
      SitePattern compiled(pattern);
    } catch (const ConfigError& error) {
      diagnostics_.error(located(error, mark(path), path));
    }
  }

  void check_variants() {
    for (const VariantSection& variant : config_.variants) {
      const std::string path = child_path(variant.path, "name");
      if (!variant.name.empty() && !is_run_name(variant.name))
        fail(path, "`" + variant.name + "` is no name for a variant",
             "lower-case letters, digits, `_` and `-`");
      const auto same = std::ranges::find(config_.variants, variant.name, &VariantSection::name);
      if (&*same != &variant && !variant.name.empty())
        fail(path,
             "variant `" + variant.name + "` stands there twice, first at " + to_string(same->mark),
             "give it another name");
      if (variant.use.empty() && !config_.quantizer && !given("quantizer") &&
          !given(child_path(variant.path, "use")))
        fail(variant.path, "variant `" + variant.name + "` has no quantizer",
             "add `use:`, or a section `quantizer`");
      if (variant.rules) check_site_rules(*variant.rules);
    }
  }

  void check_export(const ExportSection& target) {
    const auto known = std::ranges::find(export_keys(), target.use, &ExportKeys::use);
    if (known == export_keys().end()) return;  // reported as no choice
    for (const char* key : {"type", "dtype", "dir", "file"})
      if (given(child_path(target.path, key)) && !known->keys.contains(key))
        fail(child_path(target.path, key),
             "`" + std::string(key) + "` has no effect on the export `" + target.use + "`",
             "remove the key; this format knows " + keys_text(known->keys));
    if (target.use == "gguf" && !given(child_path(target.path, "type")))
      diagnostics_.missing({"the export `gguf` has no `type`", target.mark,
                            child_path(target.path, "type"), "add it:  type: Q4_0"});
    check_exported_variants(target);
  }

  static std::string keys_text(const std::set<std::string_view>& keys) {
    return join(std::vector<std::string>(keys.begin(), keys.end()));
  }

  void check_exported_variants(const ExportSection& target) {
    const std::vector<std::string> names = result_names(config_);
    const std::string path = child_path(target.path, "variants");
    refuse_repeats(path, target.variants);
    for (size_t i = 0; i < target.variants.size(); ++i) {
      if (std::ranges::find(names, target.variants[i]) != names.end()) continue;
      const std::string nearest = nearest_name(target.variants[i], names);
      fail(child_path(path, i), "unknown variant `" + target.variants[i] + "`",
           nearest.empty() ? "known: " + join(names) : "did you mean `" + nearest + "`?");
    }
  }

  void refuse_repeats(const std::string& path, const std::vector<std::string>& values) {
    std::set<std::string> seen;
    for (size_t i = 0; i < values.size(); ++i)
      if (!seen.insert(values[i]).second)
        fail(child_path(path, i), "`" + values[i] + "` stands there twice",
             "remove one of the two");
  }

  void refuse_empty_texts(const std::string& path, const std::vector<std::string>& values) {
    for (size_t i = 0; i < values.size(); ++i)
      if (values[i].empty()) fail(child_path(path, i), "an empty path", "name a file or folder");
  }

  bool given(const std::string& path) const { return find_path(root_, path) != nullptr; }

  /// Of the value, or of what is nearest above it.
  SourceMark mark(std::string path) const {
    while (!path.empty()) {
      if (const Node* node = find_path(root_, path)) return node->mark();
      const size_t dot = path.rfind('.');
      path = dot == path.npos ? "" : path.substr(0, dot);
    }
    return root_.mark();
  }

  void fail(const std::string& path, const std::string& message, std::string remedy) {
    diagnostics_.error({message, mark(path), path, std::move(remedy)});
  }

  const RunConfig& config_;
  const Node& root_;
  Diagnostics& diagnostics_;
};

}  // namespace

std::vector<std::string> stages_with_a_section(const RunConfig& config) {
  std::vector<std::string> stages = {"import"};
  if (config.estimator) stages.emplace_back("calibrate");
  const bool quantizes = config.quantizer || !config.variants.empty();
  if (config.train) stages.emplace_back("train");
  if (quantizes && !config.train) stages.emplace_back("quantize");
  if (config.data.eval) stages.emplace_back("eval");
  if (!config.exports.empty()) stages.emplace_back("export");
  if (config.report.html) stages.emplace_back("report");
  return stages;
}

void check_rules(const RunConfig& config, const Node& root, Diagnostics& diagnostics) {
  Rules(config, root, diagnostics).check();
}

}  // namespace qtk::config
