// A GGUF file made into a Hugging Face folder: weights decoded, rows put back in order, tokenizer
// and config.json rebuilt from the metadata.
#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <filesystem>
#include <vector>

namespace qtk::stage {

struct ImportedModel {
  std::vector<std::filesystem::path> files;
  int64_t num_tensors = 0;
  int64_t num_weights = 0;
  int64_t tensor_bytes = 0;
};

/// @param dtype  of the weights written; fp32 loses nothing
/// A model that lies in `folder` is replaced once the new one is whole.
/// @throws DataError naming file and field; the folder is then as it was
ImportedModel import_gguf(const std::filesystem::path& file, const std::filesystem::path& folder,
                          at::ScalarType dtype);

}  // namespace qtk::stage
