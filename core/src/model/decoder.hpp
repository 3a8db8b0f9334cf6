// A decoder-only transformer read from a Hugging Face folder. Families (Llama, Mistral, Qwen,
// Phi-3, GPT-2) differ by a row of the table in family.hpp, not by code here.
//
// Shapes: B batch, S sequence, D hidden size, V vocabulary.
#pragma once

#include "format/safetensors.hpp"
#include "model/decoder_config.hpp"

#include <qtk/api/linear_site.hpp>
#include <qtk/api/quantizer.hpp>

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace qtk::model {

struct LoadOptions {
  c10::Device device = c10::kCPU;
  /// Weights are kept in this dtype; undefined keeps the file's, mapped and shared on the CPU. The
  /// CPU computes in fp32 and widens a weight where it is used.
  c10::optional<at::ScalarType> dtype;
};

struct NamedParameter {
  std::string name;   // Hugging Face name with ".weight" or ".bias"
  at::Tensor tensor;  // as in the file: GPT-2's Conv1D weights stay [in, out]
};

/// Not thread-safe.
class Decoder {
 public:
  /// @throws DataError for an unknown architecture, a missing tensor or a shape that disagrees with
  /// config.json
  static std::unique_ptr<Decoder> load(const std::filesystem::path& folder,
                                       const LoadOptions& options = {});
  virtual ~Decoder();

  virtual const DecoderConfig& config() const = 0;
  /// Linear layers inside the blocks in order of use, then lm_head if it is not tied to the
  /// embedding.
  virtual const std::vector<LinearSite>& sites() const = 0;

  /// ids [B, S] int64 -> [B, S, D]
  virtual at::Tensor embed(const at::Tensor& ids) = 0;
  /// One transformer layer, [B, S, D] -> [B, S, D]; positions 0 ... S-1.
  virtual at::Tensor block(int64_t layer, const at::Tensor& x) = 0;
  /// The norm after the last block.
  virtual at::Tensor final_norm(const at::Tensor& x) = 0;
  /// [..., D] -> [..., V] in the compute dtype
  virtual at::Tensor head(const at::Tensor& x) = 0;
  /// embed, all blocks, final_norm.
  at::Tensor hidden(const at::Tensor& ids);
  /// head(hidden(ids)): holds B x S x V values; eval works on parts instead.
  at::Tensor logits(const at::Tensor& ids);

  /// The dense weight of a site, [out, in] (a view; GPT-2's is transposed), in its stored dtype;
  /// also while a quantized layer stands in its place.
  virtual at::Tensor dense_weight(int64_t site) const = 0;
  /// [out], or undefined.
  virtual at::Tensor bias(int64_t site) const = 0;
  /// Puts a quantized layer in the place of a site.
  virtual void attach(int64_t site, std::unique_ptr<QuantizedLinear> layer) = 0;
  /// The quantized layer of a site, or null.
  virtual QuantizedLinear* attached(int64_t site) const = 0;
  /// Returns to the dense weight.
  virtual void detach(int64_t site) = 0;
  /// Asks `quantizer` to join attached layers that read one input; call after the last attach().
  virtual void fuse(Quantizer& quantizer) = 0;

  /// All stored tensors, as in the file, tied heads once.
  virtual std::vector<NamedParameter> parameters() const = 0;
};

}  // namespace qtk::model
