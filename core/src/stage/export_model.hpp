// A model, dense or packed, written in other libraries' formats, and read back to prove it.
#pragma once

#include "model/decoder.hpp"
#include "stage/stored_dtype.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace qtk::stage {

struct ExportRequest {
  std::string format;  // "hf-dense", "gguf" or "compressed-tensors"
  std::string type;    // gguf: "F16", "Q8_0", "Q4_0", "TQ2_0", ...
  std::string dtype;   // hf-dense and the dense rest of compressed-tensors: "f32", "f16", "bf16"
  std::filesystem::path source;  // the model's folder: config.json and tokenizer come from it
  std::filesystem::path target;  // a folder; for gguf a file
  bool is_checked = true;        // read it back and compare every tensor
};

struct Exported {
  std::string format;  // "gguf Q4_0"
  std::vector<std::filesystem::path> files;
  int64_t bytes = 0;  // of all files
  std::string check;  // what was compared, or "not checked"
};

/// @throws ConfigError for a format, type or model that do not go together, saying why; IoError;
/// DataError if reading back gives something else than was written
Exported export_model(const model::Decoder& decoder, const ExportRequest& request);

// One per format; export_model() chooses.
Exported export_dense(const model::Decoder& decoder, const ExportRequest& request);
Exported export_gguf(const model::Decoder& decoder, const ExportRequest& request);
Exported export_compressed_tensors(const model::Decoder& decoder, const ExportRequest& request);

/// Total size of files. For reporting.
int64_t bytes_of(const std::vector<std::filesystem::path>& files);

}  // namespace qtk::stage
