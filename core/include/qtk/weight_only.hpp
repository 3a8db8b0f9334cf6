// For quantizers that only map a weight to codes and back: write quantize() and dequantize();
// forward, packing, a straight-through training form and the contract tests come with it.
#pragma once

#include <qtk/api/quantizer.hpp>

#include <memory>
#include <optional>

namespace qtk {

/// A quantized weight in the plugin's own shapes.
struct Quantized {
  at::Tensor
      codes;  // uint8, or int8 for codes around zero; as many elements as the weight, in its order
  at::Tensor scales;  // a floating dtype, any shape
  at::Tensor zeros;   // uint8 below 2^bits, any shape; undefined if the method has none
  int bits = 8;       // width of a code (and of a zero point) on disk, 1 to 8
};

/// Base of weight-only quantizers. Both functions must be deterministic, and their shapes, dtypes
/// and bits may depend on the weight's shape only. Gradients pass straight through: d weight() / d
/// latent = 1.
///
/// On disk (PackedWeight), for a weight [out, in]:
///
///   codes   uint8 [out, ceil(in * bits / 8)], see pack_bits(); int8 codes with 2^(bits-1) added
///   scales  as quantize() returned them
///   zeros   uint8, the same packing over [first dimension, all others]; absent if there are none
///
/// Layers keep a reference to the quantizer that made them, which must outlive them. An attached
/// layer trains a latent fp32 weight that shares memory with LinearInit::weight if that is fp32 and
/// contiguous; biases stay the caller's.
class QTK_API WeightOnlyQuantizer : public Quantizer {
 public:
  WeightOnlyQuantizer();
  ~WeightOnlyQuantizer() override;

  /// @param w_OI [out, in] fp32, contiguous
  virtual Quantized quantize(const at::Tensor& w_OI) const = 0;
  /// @returns [out, in] fp32
  virtual at::Tensor dequantize(const Quantized& quantized) const = 0;
  /// The uniform grid behind a quantized weight, for exporters; nothing by default.
  virtual std::optional<UniformGrid> grid(const Quantized& quantized) const;

  QuantizerTraits traits() const override;
  int64_t storage_bits(const LinearSite& site) const override;
  std::unique_ptr<QuantizedLinear> attach(const LinearSite& site, LinearInit init) override;
  std::unique_ptr<QuantizedLinear> unpack(const LinearSite& site, PackedWeight packed,
                                          at::Tensor bias) override;

 private:
  /// Shapes, dtypes and bits for a weight of the site's shape, in tensors without memory (device
  /// "meta"). Made by quantizing zeros once for each shape. Thread-safe.
  /// @throws ConfigError if quantize() refuses the shape
  Quantized prototype(const LinearSite& site) const;

  struct Prototypes;
  std::unique_ptr<Prototypes> prototypes_;
};

}  // namespace qtk
