// GGUF for llama.cpp: matrices re-encoded in one block type, everything else F32. Ternary types are
// for the linear layers, and only where they lose nothing; other matrices are F16 then.
#include "base/progress.hpp"
#include "format/gguf.hpp"
#include "model/gguf_layout.hpp"
#include "stage/deployed_tensors.hpp"
#include "stage/export_model.hpp"
#include "stage/ternary_fit.hpp"
#include "text/gguf_tokenizer.hpp"

#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>

#include <algorithm>
#include <map>

namespace qtk::stage {
namespace {

using format::GgufMetadata;
using model::GgufTensorRule;

/// llama.cpp's number for "mostly this type" (enum llama_ftype).
const std::map<std::string, uint64_t, std::less<>> kFileTypes = {
    {"F32", 0},  {"F16", 1},   {"Q4_0", 2},   {"Q4_1", 3},   {"Q8_0", 7}, {"Q5_0", 8},
    {"Q5_1", 9}, {"BF16", 32}, {"TQ1_0", 36}, {"TQ2_0", 37}, {"Q2_0", 41}};

/// Integer counts as u32, reals as f32, lists of integers as i32: what llama.cpp asks for.
format::GgufFields fields_of(const GgufMetadata& metadata) {
  format::GgufFields fields;
  for (const auto& [key, value] : metadata.values)
    std::visit(
        [&](const auto& v) {
          using T = std::decay_t<decltype(v)>;
          if constexpr (std::is_same_v<T, bool>)
            fields.flag(key, v);
          else if constexpr (std::is_same_v<T, uint64_t>)
            fields.u32(key, static_cast<int64_t>(v));
          else if constexpr (std::is_same_v<T, int64_t>)
            fields.i32(key, v);
          else if constexpr (std::is_same_v<T, double>)
            fields.f32(key, v);
          else if constexpr (std::is_same_v<T, std::string>)
            fields.text(key, v);
          else if constexpr (std::is_same_v<T, std::vector<std::string>>)
            fields.texts(key, v);
          else if constexpr (std::is_same_v<T, std::vector<int64_t>>)
            fields.i32s(key, v);
          else if constexpr (std::is_same_v<T, std::vector<double>>)
            fields.f32s(key, v);
          else
            throw Error("GGUF key " + key + ": lists of flags are not written");
        },
        value);
  return fields;
}

/// One tensor of the file and where it comes from.
struct Planned {
  format::GgufTensor tensor;
  GgufTensorRule rule;
};

/// Matrices take the wanted type where their rows are whole blocks; vectors stay F32, as llama.cpp
/// expects.
const format::GgmlType& type_for(const std::vector<int64_t>& shape,
                                 const format::GgmlType& wanted) {
  if (shape.size() < 2) return format::ggml_type("F32");
  return shape.back() % wanted.block_size == 0 ? wanted : format::ggml_type("F16");
}

/// The site whose weight must be ternary if the file is to be: quantized ones; in a dense model all
/// linear layers of the blocks.
const LinearSite* ternary_site(const model::Decoder& decoder, const DeployedTensors& deployed,
                               const GgufTensorRule& rule) {
  const int64_t index = deployed.site_of(rule.hugging_face);
  if (index < 0) return nullptr;
  const LinearSite& site = decoder.sites()[static_cast<size_t>(index)];
  const bool is_dense = std::ranges::none_of(
      decoder.sites(), [&](const auto& s) { return decoder.attached(s.index) != nullptr; });
  return decoder.attached(index) != nullptr || (is_dense && site.block >= 0) ? &site : nullptr;
}

std::vector<Planned> planned_tensors(const model::Decoder& decoder, const DeployedTensors& deployed,
                                     const std::vector<GgufTensorRule>& layout,
                                     const format::GgmlType& wanted) {
  std::vector<Planned> planned;
  for (const auto& rule : layout) {
    if (!deployed.has(rule.hugging_face)) continue;
    auto shape = deployed.info(rule.hugging_face).shape;
    if (rule.is_transposed) std::swap(shape.at(0), shape.at(1));
    const bool is_rest =
        is_ternary_type(wanted) && ternary_site(decoder, deployed, rule) == nullptr;
    const auto& type = type_for(shape, is_rest ? format::ggml_type("F16") : wanted);
    planned.push_back({{rule.gguf, &type, shape}, rule});
  }
  return planned;
}

at::Tensor in_gguf_order(const DeployedTensors& deployed, const GgufTensorRule& rule) {
  return model::to_gguf_order(deployed.tensor(rule.hugging_face).to(at::kFloat), rule);
}

/// Every ternary weight, before anything is written. @throws ConfigError for one that does not fit
ScaleRounding require_ternary_fits(const model::Decoder& decoder, const DeployedTensors& deployed,
                                   const std::vector<Planned>& planned,
                                   const format::GgmlType& wanted) {
  ScaleRounding rounding;
  for (const auto& [tensor, rule] : planned) {
    const LinearSite* site = ternary_site(decoder, deployed, rule);
    if (site == nullptr) continue;
    const auto stored = deployed.tensor(rule.hugging_face);
    rounding.add(require_ternary_fit(wanted, *site, rule.is_transposed ? stored.t() : stored,
                                     decoder.attached(site->index)));
  }
  return rounding;
}

std::string check_gguf(const DeployedTensors& deployed, const std::vector<Planned>& planned,
                       const std::filesystem::path& path) {
  const auto file = format::GgufFile::open(path);
  for (const auto& [tensor, rule] : planned) {
    const auto expected =
        format::quantize_blocks(*tensor.type, in_gguf_order(deployed, rule), tensor.name);
    if (!file.has(tensor.name) ||
        !at::equal(file.tensor(tensor.name).flatten(), expected.flatten()))
      throw DataError(
          path.string() + ": " + tensor.name + " reads back with other blocks than were written",
          "check the disk and export again");
    const auto decoded = file.dequantize(tensor.name);
    if (decoded.sizes().vec() != tensor.shape || !at::isfinite(decoded).all().item<bool>())
      throw DataError(path.string() + ": " + tensor.name + " decodes to another shape or to NaN",
                      "export again");
  }
  return "re-read, " + std::to_string(planned.size()) + " tensors equal";
}

/// "smollm2" of "models/smollm2/" and of "." in it.
std::string folder_name(const std::filesystem::path& folder) {
  const auto path = std::filesystem::absolute(folder).lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

}  // namespace

Exported export_gguf(const model::Decoder& decoder, const ExportRequest& request) {
  if (!request.dtype.empty())
    throw ConfigError("export format gguf has no dtype '" + request.dtype + "'",
                      "use type: F16, Q8_0, Q4_0, Q4_1, TQ1_0, TQ2_0 or Q2_0");
  const std::string type_name = request.type.empty() ? "F16" : request.type;
  const format::GgmlType& type = format::ggml_type(type_name);
  if (!type.quantize || !kFileTypes.contains(type_name))
    throw ConfigError("GGUF type " + type_name + " cannot be written",
                      "known: " + format::writable_ggml_types());
  const auto& config = decoder.config();
  const auto& family = *model::find_family(config.model_type);
  const DeployedTensors deployed(decoder);
  auto planned = planned_tensors(decoder, deployed, model::gguf_layout(family, config), type);
  ScaleRounding rounding;
  if (is_ternary_type(type)) rounding = require_ternary_fits(decoder, deployed, planned, type);

  GgufMetadata metadata;
  model::add_model_metadata(family, config, metadata);
  metadata.values["general.name"] = folder_name(request.source);
  metadata.values["general.file_type"] = kFileTypes.at(type_name);
  metadata.values["general.quantization_version"] = uint64_t{2};
  text::add_tokenizer_metadata(request.source, metadata, config.vocab_size);
  at::Tensor divisors;
  if (config.llama3_rope) {
    divisors =
        model::llama3_frequency_divisors(*config.llama3_rope, config.rope_theta, config.head_dim);
    planned.push_back(
        {{"rope_freqs.weight", &format::ggml_type("F32"), divisors.sizes().vec()}, {}});
  }

  std::vector<format::GgufTensor> tensors;
  for (const auto& item : planned) tensors.push_back(item.tensor);
  format::GgufWriter writer(request.target, fields_of(metadata), tensors);
  Progress progress("export gguf " + type_name, static_cast<int64_t>(planned.size()), "tensor");
  for (const auto& [tensor, rule] : planned) {
    writer.write(tensor.name, rule.gguf.empty() ? divisors : in_gguf_order(deployed, rule));
    progress.advance(1);
  }
  writer.commit();
  if (divisors.defined()) planned.pop_back();
  Exported exported{.format = "gguf " + type_name, .files = {request.target}};
  exported.bytes = bytes_of(exported.files);
  exported.check =
      request.is_checked ? check_gguf(deployed, planned, request.target) : "not checked";
  if (is_ternary_type(type)) exported.check += "; " + rounding.text();
  return exported;
}

}  // namespace qtk::stage
