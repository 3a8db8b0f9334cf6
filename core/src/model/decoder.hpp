// A decoder-only transformer read from a Hugging Face folder. Families (Llama, Mistral, Qwen,
// Phi-3, GPT-2) differ by a row of the table in family.hpp, not by code here.
//
// Shapes: B batch, S sequence, D hidden size, V vocabulary.
#pragma once

#include "model/attention.hpp"
#include "model/decoder_config.hpp"
#include "model/family.hpp"

#include <qtk/api/linear_site.hpp>
#include <qtk/api/quantizer.hpp>

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qtk::model {

/// Some of a decoder's layers in order, and what stands before and behind them: what one process of
/// a pipeline holds.
struct ModelPart {
  int64_t first_layer = 0, last_layer = 0;  // layers [first, last)
  bool has_embedding = true;                // and learned positions
  bool has_head = true;                     // and the final norm
};

struct LoadOptions {
  c10::Device device = c10::kCPU;
  /// Weights are kept in this dtype; undefined keeps the file's, mapped and shared on the CPU. The
  /// CPU computes in fp32 and widens a weight where it is used.
  std::optional<at::ScalarType> dtype;
  /// Type of the forward pass if it is not to be the default below: bf16 with weights of fp32 is
  /// what training on a GPU wants. Weights are rounded where they are used.
  std::optional<at::ScalarType> compute_dtype;
  /// Weights in memory of our own even where nothing converts them, so that an optimizer may write
  /// into them.
  bool is_writable = false;
  /// Sites whose dense weight the folder does not hold because a quantized layer is attached right
  /// after loading.
  std::function<bool(std::string_view site)> is_packed;
  /// Only these layers, else all. Calls that need others fail; sites() lists all the same.
  std::optional<ModelPart> part;
};

struct NamedParameter {
  std::string name;   // Hugging Face name with ".weight" or ".bias"
  at::Tensor tensor;  // as in the file: GPT-2's Conv1D weights stay [in, out]
};

/// The forward pass records gradients where autograd is on and its input or a parameter requires
/// them; otherwise, in fp32 on the CPU, fused loops take over. There is no dropout. The compute
/// dtype is fp32 on the CPU (fp64 if the weights are) and the embedding's dtype on a GPU. Not
/// thread-safe.
class Decoder {
 public:
  /// @throws DataError for an unknown architecture, a missing tensor or a shape that disagrees with
  /// config.json
  static std::unique_ptr<Decoder> load(const std::filesystem::path& folder,
                                       const LoadOptions& options = {});
  virtual ~Decoder();

  virtual const DecoderConfig& config() const = 0;
  virtual const Family& family() const = 0;
  /// Of the tensors between layers.
  virtual at::ScalarType compute_dtype() const = 0;
  /// What is held of the model; of a whole one everything.
  virtual const ModelPart& part() const = 0;
  /// Linear layers inside the blocks in order of use, then lm_head if it is not tied to the
  /// embedding.
  virtual const std::vector<LinearSite>& sites() const = 0;

  /// ids [B, S] int64 -> [B, S, D]. @throws DataError for ids outside of the vocabulary (CPU) and
  /// too long sequences
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

  /// Where gradients flow: with or without second derivatives.
  virtual void set_attention(AttentionForm form) = 0;

  /// The dense weight of a site, [out, in] (a view; GPT-2's is transposed), in its stored dtype;
  /// also while a quantized layer stands in its place.
  virtual at::Tensor dense_weight(int64_t site) const = 0;
  /// [out], or undefined.
  virtual at::Tensor bias(int64_t site) const = 0;
  /// The weight behind head(), [V, D] in its stored dtype; undefined while a quantized layer stands
  /// in its place.
  virtual at::Tensor head_weight() const = 0;
  /// Puts a quantized layer in the place of a site.
  virtual void attach(int64_t site, std::unique_ptr<QuantizedLinear> layer) = 0;
  /// The quantized layer of a site, or null.
  virtual QuantizedLinear* attached(int64_t site) const = 0;
  /// Returns to the dense weight.
  virtual void detach(int64_t site) = 0;
  /// Asks quantizers to join attached layers that read one input; call after the last attach().
  /// @param quantizer_of  who made the layer of a site, or null; layers of different quantizers are
  /// not joined
  virtual void fuse(const std::function<Quantizer*(int64_t site)>& quantizer_of) = 0;

  /// All tensors held, as in the file, tied heads once, in order of use. They share memory and
  /// identity with the model's own: requires_grad_() on one makes its gradients flow.
  virtual std::vector<NamedParameter> parameters() const = 0;
};

}  // namespace qtk::model
