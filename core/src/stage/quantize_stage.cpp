// quantize: every variant becomes a packed model, block by block.
#include "base/logging.hpp"
#include "stage/export_model.hpp"
#include "stage/model_options.hpp"
#include "stage/packed_model.hpp"
#include "stage/pipeline.hpp"

#include <nlohmann/json.hpp>

#include <chrono>

namespace qtk::stage {
namespace {

std::vector<std::filesystem::path> files_below(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    files.push_back(entry.path());
  return files;
}

void quantize_variant(Run& run, const config::QuantizerVariant& variant,
                      const model::Decoder& decoder) {
  const std::string step = "quantize." + variant.name;
  const auto start = std::chrono::steady_clock::now();
  const QuantizerPlan plan = plan_quantizers(variant.quantizer, decoder.sites(), *run.context);
  const auto folder = run.packed_folder(variant.name);
  c10::optional<at::ScalarType> rest;
  if (variant.quantizer.rest_dtype != "file") rest = storage_dtype(variant.quantizer.rest_dtype);
  const auto outcomes = write_packed_model(run.model_folder(), decoder, plan, folder, rest,
                                           "quantize " + variant.name);
  run.folder.write_json(
      "artifacts/" + variant.name + "/sites.json",
      {{"description", plan.description()}, {"sites", outcomes_json(outcomes, decoder.sites())}});
  auto files = files_below(folder);
  files.push_back(run.folder / ("artifacts/" + variant.name + "/sites.json"));
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  run.folder.finish(step, seconds, files);
  core_log().info("quantized " + std::to_string(outcomes.size()) +
                  " layers: " + plan.description());
}

}  // namespace

void quantize_stage(Run& run) {
  std::unique_ptr<model::Decoder> decoder;
  for (const auto& variant : config::quantizer_variants(run.config)) {
    if (run.folder.is_finished("quantize." + variant.name)) continue;
    if (!decoder) decoder = model::Decoder::load(run.model_folder(), load_options(run));
    quantize_variant(run, variant, *decoder);
  }
}

}  // namespace qtk::stage
