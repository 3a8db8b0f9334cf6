// import: a GGUF file becomes a Hugging Face folder below the run; a folder is used where it lies.
#include "base/logging.hpp"
#include "base/progress.hpp"
#include "stage/export_model.hpp"
#include "stage/import_gguf.hpp"
#include "stage/pipeline.hpp"

#include <chrono>

namespace qtk::stage {

void import_stage(Run& run) {
  if (std::filesystem::is_directory(run.config.model.path) || run.folder.is_finished("import"))
    return;
  const auto start = std::chrono::steady_clock::now();
  const auto imported = import_gguf(run.config.model.path, run.model_folder(),
                                    storage_dtype(run.config.model.import_dtype));
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  run.folder.finish("import", seconds, imported.files);
  core_log().info("imported " + std::to_string(imported.num_tensors) + " tensors, " +
                  size_text(imported.tensor_bytes) + ", to " + run.model_folder().string());
}

}  // namespace qtk::stage
