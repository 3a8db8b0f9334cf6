// How the stages of a run open models.
#pragma once

#include "model/decoder.hpp"
#include "stage/export_model.hpp"
#include "stage/pipeline.hpp"

namespace qtk::stage {

inline model::LoadOptions load_options(const Run& run) {
  model::LoadOptions options{.device = run.context->device()};
  if (run.config.model.dtype != "file") options.dtype = storage_dtype(run.config.model.dtype);
  return options;
}

}  // namespace qtk::stage
