#include "stage/calibrate_stage.hpp"

#include "base/atomic_file.hpp"
#include "base/hash.hpp"
#include "base/logging.hpp"
#include "base/nearest_name.hpp"
#include "base/progress.hpp"
#include "config/emit.hpp"
#include "config/options.hpp"
#include "config/site_pattern.hpp"
#include "model/decoder.hpp"
#include "plugin/registry.hpp"
#include "plugin/run_context.hpp"
#include "stage/calibration_data.hpp"
#include "stage/environment.hpp"
#include "stage/options_json.hpp"
#include "stage/pipeline.hpp"
#include "train/model_probe.hpp"
#include "train/sensitivity_file.hpp"
#include "train/sensitivity_groups.hpp"

#include <qtk/runtime/error.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <set>

namespace qtk::stage {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kStep = "calibrate";
constexpr const char* kEstimatorKind = "estimator";

std::string estimator_name(const std::string& id) { return "estimator `" + id + "`"; }

OptionValues option_values(const config::EstimatorSection& section, const OptionTable& table,
                           config::Diagnostics& diagnostics) {
  return config::resolve_options(table, &section.options, section.path + ".options",
                                 estimator_name(section.use), diagnostics);
}

/// Indices of the sites to measure. @throws ConfigError if there are none
std::vector<int64_t> targeted(const config::EstimatorSection& section,
                              const std::vector<LinearSite>& sites) {
  const auto targets = config::compile_patterns(section.targets),
             skipped = config::compile_patterns(section.skip);
  std::vector<int64_t> chosen;
  for (const auto& site : sites)
    if (config::any_matches(targets, site.name) && !config::any_matches(skipped, site.name))
      chosen.push_back(site.index);
  if (chosen.empty())
    throw ConfigError(
        "estimator.targets and estimator.skip leave no linear layer of the " +
            std::to_string(sites.size()) + " to measure",
        "a target is a full name or re:<expression>; `qtk inspect --model DIR` lists the names");
  return chosen;
}

train::GroupOf group_of(const std::vector<std::string>& granularity) {
  if (granularity.front() == "tensor") return [](const LinearSite&) { return std::string(); };
  if (granularity.front() == "component") return [](const LinearSite& site) { return site.role; };
  if (granularity.front() == "layer")
    return [](const LinearSite& site) {
      return site.block < 0 ? std::string() : "layer " + std::to_string(site.block);
    };
  return [patterns = config::compile_patterns(granularity)](const LinearSite& site) {
    for (const auto& pattern : patterns)
      if (pattern.matches(site.name)) return pattern.text();
    return std::string();
  };
}

std::vector<std::string> names_not_in(const std::vector<int64_t>& chosen,
                                      const std::vector<LinearSite>& sites) {
  std::vector<std::string> names;
  for (const auto& site : sites)
    if (std::ranges::find(chosen, site.index) == chosen.end()) names.push_back(site.name);
  return names;
}

/// A table of sound rows, each for a site that was asked for.
void check_table(const SensitivityTable& table, std::span<const LinearSite> sites,
                 const std::string& id) {
  std::set<std::string> left;
  for (const auto& site : sites) left.insert(site.name);
  for (const auto& entry : table.entries)
    if (left.erase(entry.site) == 0)
      throw PluginError(estimator_name(id) + " returned a row for `" + entry.site +
                            "`, which it was not asked for or which has one already",
                        "report this to the author of the plugin");
  if (!left.empty())
    core_log().warn(estimator_name(id) + " has no value for " + std::to_string(left.size()) +
                    " layers: " + join(std::vector<std::string>(left.begin(), left.end())));
}

void warn_of_flags(const SensitivityTable& table) {
  std::map<std::string, int64_t> counts;
  for (const auto& entry : table.entries)
    for (const auto& flag : entry.flags) ++counts[flag];
  for (const auto& [flag, count] : counts)
    core_log().warn(std::to_string(count) + " of " + std::to_string(table.entries.size()) +
                    " sensitivities are flagged `" + flag + "`");
}

/// One bad layer is for the reader to judge; without any number the model or the text is broken.
void refuse_if_nothing_is_finite(const SensitivityTable& table) {
  if (std::ranges::none_of(table.entries,
                           [](const auto& entry) { return std::isfinite(entry.value); }))
    throw DataError(
        "none of the " + std::to_string(table.entries.size()) + " sensitivities is a finite number",
        "the model's loss on the calibration texts is NaN or infinite: check both with "
        "`qtk eval --protocol ppl_token`");
}

struct Measured {
  SensitivityTable table;
  train::PassCounts counts;
};

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

Measured measure(Run& run, model::Decoder& decoder, const std::vector<int64_t>& sites,
                 const CalibrationData& data, Estimator& estimator, const std::string& identity) {
  train::WorkJournal journal(run.folder / "stages/calibrate/journal.jsonl", identity);
  if (journal.size() > 0)
    core_log().info("calibrate: " + std::to_string(journal.size()) + " finished parts found");
  std::vector<at::Tensor> batches;
  for (const auto& batch : data.batches) batches.push_back(batch.to(run.context->device()));
  train::DecoderProbe probe(decoder, {.sites = sites, .batches = batches, .journal = &journal});
  Measured measured{.table = estimator.estimate(probe)};
  measured.counts = probe.counts();
  check_table(measured.table, probe.sites(), run.config.estimator->use);
  return measured;
}

void measure_sensitivity(Run& run) {
  const auto& section = *run.config.estimator;
  const OptionTable& table = plugin::registry().option_table(kEstimatorKind, section.use);
  config::Diagnostics diagnostics;
  const OptionValues values = option_values(section, table, diagnostics);
  diagnostics.throw_if_any();
  const json options = options_json(config::options_node(table, values));

  const auto decoder = model::Decoder::load(run.model_folder(),
                                            {.device = run.context->device(), .dtype = at::kFloat});
  const auto sites = targeted(section, decoder->sites());
  const auto data =
      read_calibration(*run.config.data.calib, text::Tokenizer::load(run.model_folder()));
  const auto model_fingerprint = content_fingerprint(run.model_folder());
  const auto estimator = plugin::registry().make<Estimator>(section.use, values, *run.context);
  json identity = {section.use, options, model_fingerprint, data.fingerprint, run.config.seed};
  for (const int64_t site : sites) identity.push_back(site);

  auto measured = measure(run, *decoder, sites, data, *estimator, fingerprint(identity.dump()));
  measured.table.model_fingerprint = model_fingerprint;
  measured.table.data_fingerprint = data.fingerprint;
  const auto result =
      train::grouped(measured.table, decoder->sites(), group_of(section.granularity));
  refuse_if_nothing_is_finite(result);
  warn_of_flags(result);
  core_log().info("calibrate: " + result.quantity + " of " + std::to_string(result.entries.size()) +
                  " layers gradient_passes=" + std::to_string(measured.counts.gradient_passes));
  train::write_sensitivity(run.sensitivity_file(), result,
                           {.estimator = section.use,
                            .options = options,
                            .granularity = section.granularity,
                            .counts = measured.counts,
                            .skipped = names_not_in(sites, decoder->sites())});
}

/// Takes over the file of another run, if it fits the model.
void adopt_sensitivity(Run& run) {
  const auto decoder = model::Decoder::load(run.model_folder());
  const fs::path file = run.config.estimator->file;
  train::read_sensitivity(file, content_fingerprint(run.model_folder()), decoder->sites());
  copy_file_atomically(file, run.sensitivity_file());
}

}  // namespace

void check_estimator(const config::EstimatorSection& section, config::Diagnostics& diagnostics) {
  if (section.use.empty()) return;
  OptionTable table;
  try {
    table = plugin::registry().option_table(kEstimatorKind, section.use);
  } catch (const PluginError& error) {
    diagnostics.error(config::located(error, section.mark, section.path + ".use"));
    return;
  }
  const auto values = option_values(section, table, diagnostics);
  if (!diagnostics.ok()) return;
  try {  // rules over several fields are the plugin's own; making an object runs them
    plugin::CoreRunContext context{plugin::RunContextInit{}};
    plugin::registry().make<Estimator>(section.use, values, context);
  } catch (const ConfigError& error) {
    diagnostics.error(config::located(error, section.options.mark(), section.path + ".options"));
  }
}

void calibrate_stage(Run& run) {
  if (run.folder.is_finished(kStep)) return;
  const auto start = std::chrono::steady_clock::now();
  if (run.config.estimator->file.empty())
    measure_sensitivity(run);
  else
    adopt_sensitivity(run);
  run.folder.finish(kStep, seconds_since(start), {run.sensitivity_file()});
  std::error_code ignored;  // what it holds is in the table now
  fs::remove(run.folder / "stages/calibrate/journal.jsonl", ignored);
}

}  // namespace qtk::stage
