// The `pack-quantized` format of the compressed-tensors package: what vLLM runs with 4 and 8 bit
// kernels.
#include "base/atomic_file.hpp"
#include "base/progress.hpp"
#include "format/compressed_tensors.hpp"
#include "format/safetensors.hpp"
#include "format/strict_json.hpp"
#include "model/family.hpp"
#include "stage/deployed_tensors.hpp"
#include "stage/export_model.hpp"
#include "stage/packed_model.hpp"

#include <qtk/runtime/check.hpp>
#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include <map>
#include <optional>

namespace qtk::stage {
namespace {

using format::CompressedSite;
using format::TensorInfo;

UniformGrid grid_of(const model::Decoder& decoder, const LinearSite& site) {
  auto grid = decoder.attached(site.index)->grid();
  if (!grid)
    throw ConfigError(
        "compressed-tensors cannot hold " + site.name + ": its quantizer has no uniform grid",
        "export hf-dense instead");
  if (grid->bits != 4 && grid->bits != 8)
    throw ConfigError("compressed-tensors pack-quantized is offered for 4 and 8 bits, " +
                          site.name + " has " + std::to_string(grid->bits),
                      "export hf-dense instead, or leave this variant out with export.variants");
  return *std::move(grid);
}

/// The quantized sites: their schemes, and all their tensors under full names.
struct PackedSites {
  std::vector<CompressedSite> sites;
  std::map<std::string, at::Tensor> tensors;
};

std::vector<LinearSite> quantized_sites(const model::Decoder& decoder) {
  if (model::find_family(decoder.config().model_type)->is_conv1d)
    throw ConfigError("compressed-tensors knows no Conv1D layers, which " +
                          decoder.config().model_type + " is made of",
                      "export hf-dense or gguf instead");
  std::vector<LinearSite> sites;
  for (const auto& site : decoder.sites())
    if (decoder.attached(site.index)) sites.push_back(site);
  if (sites.empty())
    throw ConfigError("compressed-tensors needs a quantized model, this one is dense",
                      "export a variant, or hf-dense");
  return sites;
}

PackedSites pack_sites(const model::Decoder& decoder) {
  PackedSites packed;
  for (const auto& site : quantized_sites(decoder)) {
    const UniformGrid grid = grid_of(decoder, site);
    packed.sites.push_back({site.name, format::compressed_scheme(grid)});
    for (auto& [name, tensor] : format::pack_quantized(grid, site.name))
      packed.tensors[site.name + "." + name] = std::move(tensor);
  }
  return packed;
}

/// Linear modules that stay dense, as the configuration lists them.
std::vector<std::string> dense_modules(const model::Decoder& decoder) {
  std::vector<std::string> names;
  for (const auto& site : decoder.sites())
    if (!decoder.attached(site.index)) names.push_back(site.name);
  if (decoder.config().is_tied) names.push_back("lm_head");
  return names;
}

std::string check_compressed(const model::Decoder& decoder,
                             const std::vector<CompressedSite>& sites,
                             const std::filesystem::path& folder) {
  const auto written = format::TensorFolder::open(folder);
  std::map<std::string, int64_t> index_of;
  for (const auto& site : decoder.sites()) index_of[site.name] = site.index;
  for (const auto& [name, scheme] : sites) {
    format::TensorMap tensors;
    for (const char* part : {"weight_packed", "weight_scale", "weight_shape", "weight_zero_point"})
      if (written.has(name + "." + part)) tensors[part] = written.tensor(name + "." + part);
    const UniformGrid grid = format::unpack_quantized(scheme, tensors, name);
    const int64_t groups = grid.scales.size(1);
    const auto weight =
        ((grid.codes.unflatten(1, {groups, -1}) - grid.zeros.unsqueeze(-1)).to(at::kFloat) *
         grid.scales.unsqueeze(-1))
            .flatten(1);
    if (!at::equal(weight, decoder.attached(index_of.at(name))->weight().cpu()))
      throw DataError(
          folder.string() + ": " + name + " unpacks to another weight than was quantized",
          "check the disk and export again");
  }
  return "re-read, " + std::to_string(sites.size()) + " weights equal";
}

}  // namespace

Exported export_compressed_tensors(const model::Decoder& decoder, const ExportRequest& request) {
  if (!request.type.empty())
    throw ConfigError("export format compressed-tensors has no type '" + request.type + "'",
                      "bits and groups come from the quantizer");
  const at::ScalarType rest = storage_dtype(request.dtype.empty() ? "bf16" : request.dtype);
  const PackedSites packed = pack_sites(decoder);
  const DeployedTensors deployed(decoder);
  std::vector<TensorInfo> infos;
  for (const auto& [name, tensor] : packed.tensors)
    infos.push_back({name, tensor.scalar_type(), tensor.sizes().vec()});
  for (const auto& info : deployed.tensors()) {
    const int64_t site = deployed.site_of(info.name);
    if (site < 0 || !decoder.attached(site)) infos.push_back({info.name, rest, info.shape});
  }

  Exported exported{.format = "compressed-tensors pack-quantized"};
  Progress progress("export compressed-tensors", static_cast<int64_t>(infos.size()), "tensor");
  exported.files = format::write_tensor_folder(request.target, infos, [&](const TensorInfo& info) {
    progress.advance(1);
    const auto tensor = packed.tensors.find(info.name);
    return tensor == packed.tensors.end() ? stored_as(rest, deployed.tensor(info.name), info.name)
                                          : tensor->second;
  });
  copy_companions(request.source, request.target);
  const auto source = request.source / "config.json";
  auto config = format::parse_strict_json(read_text_file(source), source.string());
  config["quantization_config"] =
      format::compressed_tensors_config(packed.sites, dense_modules(decoder));
  config.erase("dtype");
  config["torch_dtype"] = hugging_face_dtype(rest);
  write_file_atomically(request.target / "config.json", config.dump(2) + "\n");
  exported.bytes = bytes_of(exported.files);
  exported.check =
      request.is_checked ? check_compressed(decoder, packed.sites, request.target) : "not checked";
  return exported;
}

}  // namespace qtk::stage
