// report: what the other stages left in the run folder, as one HTML page, and as the last lines on
// the terminal.
#include "base/atomic_file.hpp"
#include "base/progress.hpp"
#include "report/run_report.hpp"
#include "stage/environment.hpp"
#include "stage/pipeline.hpp"
#include "stage/training_record.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>

namespace qtk::stage {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::optional<json> read_if_there(const Run& run, const std::string& name) {
  if (!fs::exists(run.folder / name)) return std::nullopt;
  return run.folder.read_json(name);
}

void add_evaluation(report::ModelResult& model, const json& evaluation) {
  model.tensor_bytes = evaluation.value("tensor_bytes", int64_t{0});
  for (const auto& result : evaluation["results"]) {
    model.quality.push_back(
        {result["protocol"], result["ppl"], result["standard_error"], result["tokens"]});
    model.tokens_per_second =
        std::max(model.tokens_per_second, result["tokens_per_second"].get<double>());
  }
  if (const auto comparison = evaluation.find("comparison"); comparison != evaluation.end())
    model.agreement = report::Agreement{.kl_mean = (*comparison)["kl_mean"],
                                        .kl_median = (*comparison)["kl_median"],
                                        .kl_p99 = (*comparison)["kl_p99"],
                                        .kl_max = (*comparison)["kl_max"],
                                        .top1 = (*comparison)["top1"],
                                        .protocol = evaluation["results"][0]["protocol"]};
}

void add_sites(report::ModelResult& model, const json& quantized) {
  model.description = quantized["description"];
  double bits = 0, weights = 0;
  for (const auto& site : quantized["sites"]) {
    const double site_bits = site["bits"], site_weights = site["weights"];
    bits += site_bits;
    weights += site_weights;
    model.sites.push_back({site["site"], site["block"], site["role"], site["relative_error"],
                           site_bits / site_weights});
  }
  model.bits_per_weight = weights > 0 ? bits / weights : 0;
}

void add_exports(report::ModelResult& model, const Run& run) {
  for (size_t i = 0; i < run.config.exports.size(); ++i) {
    const auto record = read_if_there(
        run, "stages/export." + model.name + "." + std::to_string(i) + ".export.json");
    if (!record) continue;
    model.files.push_back(
        {(*record)["format"], (*record)["target"], (*record)["bytes"], (*record)["check"]});
  }
}

std::vector<report::ModelResult> model_results(const Run& run) {
  std::vector<report::ModelResult> models;
  report::ModelResult base{.name = "base", .description = "as imported"};
  if (const auto evaluation = read_if_there(run, "eval/base.json"))
    add_evaluation(base, *evaluation);
  models.push_back(std::move(base));
  for (const auto& variant : config::result_names(run.config)) {
    report::ModelResult model{.name = variant};
    if (const auto quantized = read_if_there(run, "artifacts/" + variant + "/sites.json"))
      add_sites(model, *quantized);
    if (const auto evaluation = read_if_there(run, "eval/" + variant + ".json"))
      add_evaluation(model, *evaluation);
    add_exports(model, run);
    model.metrics = read_metrics(run.folder / ("train/" + model.name + "/metrics.jsonl"));
    models.push_back(std::move(model));
  }
  return models;
}

/// Seconds of all finished steps, by stage.
std::vector<std::pair<std::string, double>> stage_seconds(const Run& run) {
  std::vector<std::pair<std::string, double>> seconds;
  for (const auto& stage : run.config.stages) {
    double total = 0;
    for (const auto& entry : fs::directory_iterator(run.folder / "stages")) {
      const std::string name = entry.path().stem().string();
      if (name.ends_with(".export") || (name != stage && !name.starts_with(stage + "."))) continue;
      total += run.folder.seconds(name);
    }
    if (total > 0) seconds.emplace_back(stage, total);
  }
  return seconds;
}

std::string formatted(const char* format, double value) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

/// "w4  ppl_token/ctx=512 23.41 (x 1.032)  KL 0.0213  top-1 91.2 %  4.75 bpw  61.3 MB (58.5 MiB)"
std::string result_line(const report::ModelResult& model, const report::ModelResult& base) {
  std::string line =
      "  " + model.name + std::string(model.name.size() < 8 ? 8 - model.name.size() : 1, ' ');
  for (size_t i = 0; i < model.quality.size(); ++i) {
    line += model.quality[i].protocol + " " + formatted("%.3f", model.quality[i].value);
    if (&model != &base && i < base.quality.size())
      line += formatted(" (x %.3f)", model.quality[i].value / base.quality[i].value);
    line += "  ";
  }
  if (model.agreement)
    line += formatted("KL %.4f  ", model.agreement->kl_mean) +
            formatted("top-1 %.1f %%  ", 100 * model.agreement->top1);
  if (model.bits_per_weight > 0) line += formatted("%.3f bpw  ", model.bits_per_weight);
  return line + size_text(model.tensor_bytes);
}

}  // namespace

void report_stage(Run& run) {
  report::RunReport report;
  report.name = run.config.name;
  report.command = read_text_file(run.folder / "command.txt");
  report.configuration = read_text_file(run.folder / "resolved.yaml");
  report.machine = machine_text(run.context->device());
  const json inputs = run.folder.read_json("fingerprint.json")["inputs"];
  report.model =
      run.config.model.path + ", fingerprint " + inputs.value("content of model.path", "unknown");
  if (run.config.data.eval)
    for (const auto& file : run.config.data.eval->files)
      report.data += (report.data.empty() ? "" : "; ") + file + ", fingerprint " +
                     inputs.value("content of " + file, "unknown");
  report.started = run.folder.read_json("status.json")["time"];
  report.stage_seconds = stage_seconds(run);
  for (const auto& [stage, seconds] : report.stage_seconds) report.seconds += seconds;
  report.models = model_results(run);
  report.sensitivity = read_sensitivities(run.folder / "stages/calibrate/sensitivity.json");
  if (run.config.report.html)
    write_file_atomically(run.folder / "report.html", report::html(report));
  run.folder.finish("report", 0, {});
}

std::vector<std::string> summary_lines(const Run& run) {
  std::vector<std::string> lines;
  const auto models = model_results(run);
  for (const auto& model : models) {
    if (model.quality.empty() && model.sites.empty()) continue;
    lines.push_back(result_line(model, models.front()));
    for (const auto& file : model.files)
      lines.push_back("          " + file.format + ": " + file.path + " (" + size_text(file.bytes) +
                      ", " + file.check + ")");
  }
  const bool has_report = fs::exists(run.folder / "report.html");
  lines.push_back((has_report ? "report: " + (run.folder / "report.html").string()
                              : "results: " + run.folder.path().string()));
  return lines;
}

}  // namespace qtk::stage
