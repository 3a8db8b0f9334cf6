// Hugging Face folder with dense weights: what transformers, vLLM and llama.cpp's converter read.
#include "base/atomic_file.hpp"
#include "base/progress.hpp"
#include "format/safetensors.hpp"
#include "format/strict_json.hpp"
#include "stage/deployed_tensors.hpp"
#include "stage/export_model.hpp"
#include "stage/packed_model.hpp"

#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

namespace qtk::stage {
namespace {

at::Tensor converted(const DeployedTensors& deployed, const std::string& name,
                     at::ScalarType dtype) {
  return stored_as(dtype, deployed.tensor(name), name);
}

std::string check_dense(const DeployedTensors& deployed, const std::filesystem::path& folder,
                        at::ScalarType dtype) {
  const auto written = format::TensorFolder::open(folder);
  if (written.tensors().size() != deployed.tensors().size())
    throw DataError(folder.string() + " holds " + std::to_string(written.tensors().size()) +
                    " tensors, expected " + std::to_string(deployed.tensors().size()));
  for (const auto& info : deployed.tensors())
    if (!written.has(info.name) ||
        !at::equal(written.tensor(info.name), converted(deployed, info.name, dtype)))
      throw DataError(
          folder.string() + ": " + info.name + " reads back with other values than were written",
          "check the disk and export again");
  model::Decoder::load(folder);
  return "re-read, " + std::to_string(deployed.tensors().size()) + " tensors equal";
}

}  // namespace

Exported export_dense(const model::Decoder& decoder, const ExportRequest& request) {
  if (!request.type.empty())
    throw ConfigError("export format hf-dense has no type '" + request.type + "'",
                      "use dtype: f32, f16 or bf16");
  const at::ScalarType dtype = storage_dtype(request.dtype.empty() ? "bf16" : request.dtype);
  const DeployedTensors deployed(decoder);
  auto infos = deployed.tensors();
  for (auto& info : infos) info.dtype = dtype;
  Progress progress("export hf-dense", static_cast<int64_t>(infos.size()), "tensor");
  Exported exported{.format = "hf-dense " + (request.dtype.empty() ? "bf16" : request.dtype)};
  exported.files =
      format::write_tensor_folder(request.target, infos, [&](const format::TensorInfo& info) {
        progress.advance(1);
        return converted(deployed, info.name, dtype);
      });
  copy_companions(request.source, request.target);
  const auto source = request.source / "config.json";
  auto config = format::parse_strict_json(read_text_file(source), source.string());
  config.erase("quantization_config");
  config.erase("dtype");
  config["torch_dtype"] = hugging_face_dtype(dtype);
  write_file_atomically(request.target / "config.json", config.dump(2) + "\n");
  exported.bytes = bytes_of(exported.files);
  exported.check =
      request.is_checked ? check_dense(deployed, request.target, dtype) : "not checked";
  return exported;
}

}  // namespace qtk::stage
