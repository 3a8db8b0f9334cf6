// The layer for training: a dense latent weight that is quantized anew in every forward.
#pragma once

#include "latent_weight/coded_weight.hpp"

#include <qtk/api/quantizer.hpp>

#include <memory>

namespace qtk::latent {

/// The deployed form with straight-through gradients. Methods that have softer forms override
/// effective_weight().
///
/// The latent weight is fp32 and shares memory with LinearInit::weight if that is fp32 and
/// contiguous. A weight given in fp64 stays fp64, and so do training's forms of it: for checks of
/// formulas and gradients. Whoever optimizes the latent weight saves it.
class LatentLinear : public TrainableLinear {
 public:
  /// @throws Error if a shape does not fit the site, DataError if the weight is not finite
  LatentLinear(std::shared_ptr<const WeightCodec> codec, LinearSite site, LinearInit init);
  ~LatentLinear() override;

  at::Tensor forward(const at::Tensor& x) final;
  at::Tensor weight() const final;
  PackedWeight pack() const final;
  std::optional<UniformGrid> grid() const final;
  std::vector<TrainableTensor> trainable() final;

 protected:
  /// The weight to multiply by, [out, in], differentiable in latent(). A result in another dtype
  /// than `wanted`, the dtype of x, is converted.
  virtual at::Tensor effective_weight(at::ScalarType wanted);

  const LinearSite& site() const { return site_; }
  const CodeLayout& layout() const { return layout_; }
  /// Leaf, [out, in].
  const at::Tensor& latent() const { return latent_; }
  /// Codes and scales of the latent weight as it is now.
  CodedWeight coded() const;

 private:
  const std::shared_ptr<const WeightCodec> codec_;
  const LinearSite site_;
  const CodeLayout layout_;
  at::Tensor latent_;
  const at::Tensor bias_;
};

}  // namespace qtk::latent
