// The layer for inference.
#pragma once

#include "latent_weight/coded_weight.hpp"

#include <qtk/api/quantizer.hpp>

#include <memory>
#include <optional>

namespace qtk::latent {

/// On the CPU it holds the packed tensors, possibly the mapped file itself, and a dense weight only
/// while it multiplies; on another device the codes, one byte each.
class CodedLinear final : public QuantizedLinear {
 public:
  /// @throws DataError if `packed` is damaged
  CodedLinear(std::shared_ptr<const WeightCodec> codec, LinearSite site, PackedWeight packed,
              at::Tensor bias);

  at::Tensor forward(const at::Tensor& x) override;
  at::Tensor weight() const override;
  PackedWeight pack() const override { return packed_; }
  std::optional<UniformGrid> grid() const override;

 private:
  CodedWeight unpacked() const;
  at::Tensor weight_on(at::Device device);

  const std::shared_ptr<const WeightCodec> codec_;
  const LinearSite site_;
  const CodeLayout layout_;
  const PackedWeight packed_;
  const at::Tensor bias_;
  std::optional<CodedWeight> resident_;
};

/// @throws Error unless undefined or [out]
void check_bias(const LinearSite& site, const at::Tensor& bias);

}  // namespace qtk::latent
