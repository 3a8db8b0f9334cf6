// export: every variant in every format that the configuration asks for.
#include "base/interrupt.hpp"
#include "base/logging.hpp"
#include "base/progress.hpp"
#include "stage/export_model.hpp"
#include "stage/model_options.hpp"
#include "stage/packed_model.hpp"
#include "stage/pipeline.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>

namespace qtk::stage {
namespace {

namespace fs = std::filesystem;

bool is_wanted(const config::ExportSection& section, const std::string& variant) {
  return section.variants.empty() ||
         std::ranges::find(section.variants, variant) != section.variants.end();
}

/// Where an export goes if the configuration does not say: artifacts/w4/gguf-Q4_0/model.gguf or
/// artifacts/w4/hf-dense.
fs::path target_of(const Run& run, const config::ExportSection& section,
                   const std::string& variant) {
  const std::string given = section.file.empty() ? section.dir : section.file;
  if (!given.empty()) {
    const bool is_shared =
        section.variants.size() != 1 && config::result_names(run.config).size() > 1;
    const fs::path path = run.folder / given;
    return is_shared ? path.parent_path() /
                           (path.stem().string() + "-" + variant + path.extension().string())
                     : path;
  }
  const fs::path folder = run.folder / "artifacts" / variant;
  const std::string suffix = section.type.empty() ? section.dtype : section.type;
  const std::string name = section.use + (suffix.empty() ? "" : "-" + suffix);
  return section.use == "gguf" ? folder / (name + ".gguf") : folder / name;
}

void export_one(Run& run, const config::ExportSection& section, const std::string& variant,
                const std::string& step, const model::Decoder& decoder) {
  const auto start = std::chrono::steady_clock::now();
  const fs::path target = target_of(run, section, variant);
  const Exported exported = export_model(decoder, {.format = section.use,
                                                   .type = section.type,
                                                   .dtype = section.dtype,
                                                   .source = run.packed_folder(variant),
                                                   .target = target,
                                                   .is_checked = section.check});
  nlohmann::json files = nlohmann::json::array();
  for (const auto& file : exported.files) files.push_back(file.string());
  run.folder.write_json("stages/" + step + ".export.json", {{"variant", variant},
                                                            {"format", exported.format},
                                                            {"target", target.string()},
                                                            {"files", files},
                                                            {"bytes", exported.bytes},
                                                            {"check", exported.check}});
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  auto made = exported.files;
  made.push_back(run.folder / ("stages/" + step + ".export.json"));
  run.folder.finish(step, seconds, made);
  core_log().info("exported " + variant + " as " + exported.format + ", " +
                  size_text(exported.bytes) + ", " + exported.check);
}

}  // namespace

void export_stage(Run& run) {
  for (const auto& variant : config::result_names(run.config)) {
    OpenModel opened;
    for (size_t i = 0; i < run.config.exports.size(); ++i) {
      const auto& section = run.config.exports[i];
      const std::string step = "export." + variant + "." + std::to_string(i);
      if (!is_wanted(section, variant) || run.folder.is_finished(step)) continue;
      stop_if_interrupted();
      if (!opened.decoder)
        opened = open_model(run.packed_folder(variant), load_options(run), *run.context);
      export_one(run, section, variant, step, *opened.decoder);
    }
  }
}

}  // namespace qtk::stage
