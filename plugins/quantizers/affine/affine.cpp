// Round-to-nearest affine quantizer: integer codes with a scale and a zero point per group. The
// baseline that every other method must beat, and the form that a mixed-precision search varies.
#include "affine_math.hpp"

#include <qtk/group_size.hpp>
#include <qtk/plugin.hpp>
#include <qtk/storage_dtype.hpp>

#include <ATen/ATen.h>

namespace qtk {
namespace {

struct AffineOptions {
  int bits = 4;
  int64_t group_size = 128;
  bool symmetric = false;
  std::string scale_dtype = "f32";
  std::string scale_rule = "minmax";

  static void describe(OptionSet<AffineOptions>& o) {
    o.field("bits", &AffineOptions::bits)
        .range(2, 8)
        .unit("bit")
        .searchable()
        .original("bitwidth.{i}.")
        .doc("Width of a code.");
    o.field("group_size", &AffineOptions::group_size)
        .range(-1, 1 << 20)
        .searchable()
        .original("groupsize.{i}.")
        .doc(
            "Input channels that share a scale; -1: one scale per output channel, 0: one per "
            "tensor.");
    o.field("symmetric", &AffineOptions::symmetric)
        .original("quant_sym")
        .doc("Signed codes around zero, without a zero point.");
    o.field("scale_dtype", &AffineOptions::scale_dtype)
        .one_of({"f32", "f16", "bf16"})
        .doc("Stored width of a scale; codes are chosen for the rounded value.");
    o.field("scale_rule", &AffineOptions::scale_rule)
        .one_of({"minmax", "mse"})
        .doc("Cover the range of a group, or shrink it to where its squared error is least.");
  }
};

affine::Settings settings_from(const AffineOptions& options) {
  return {.bits = options.bits,
          .is_symmetric = options.symmetric,
          .scale_dtype = storage_dtype(options.scale_dtype),
          .scale_rule =
              options.scale_rule == "mse" ? affine::ScaleRule::kMse : affine::ScaleRule::kMinMax};
}

// Shape suffixes: O = output channels, I = input channels; R, G, K as in affine_math.hpp.
class Affine final : public WeightOnlyQuantizer {
 public:
  explicit Affine(AffineOptions options)
      : options_(std::move(options)), settings_(settings_from(options_)) {}

  Quantized quantize(const at::Tensor& w_OI) const override {
    const auto w_RGK = w_OI.to(at::kFloat).reshape(grouped(w_OI.size(0), w_OI.size(1)));
    auto codes = affine::quantize(w_RGK, settings_);
    return {.codes = codes.codes_RGK.reshape(w_OI.sizes()),
            .scales = codes.scales_RG1.squeeze(-1),
            .zeros = codes.zeros_RG1.defined() ? codes.zeros_RG1.squeeze(-1) : at::Tensor(),
            .bits = options_.bits};
  }

  at::Tensor dequantize(const Quantized& q) const override {
    return affine::dequantize({q.codes.reshape(grouped(q.codes.size(0), q.codes.size(1))),
                               q.scales.unsqueeze(-1),
                               q.zeros.defined() ? q.zeros.unsqueeze(-1) : at::Tensor()})
        .reshape(q.codes.sizes());
  }

  std::optional<UniformGrid> grid(const Quantized& q) const override {
    const int64_t out = q.codes.size(0), in = q.codes.size(1);
    const int64_t group = options_.group_size > 0 ? options_.group_size : in;
    const auto per_row = [&](const at::Tensor& t) {
      return t.expand({out, in / group}).contiguous();
    };
    const auto scales = per_row(q.scales.to(at::kFloat));
    return UniformGrid{.bits = options_.bits,
                       .is_signed = options_.symmetric,
                       .group_size = group,
                       .codes = q.codes.to(at::kInt),
                       .scales = scales,
                       .zeros = q.zeros.defined() ? per_row(q.zeros.to(at::kInt))
                                                  : at::zeros_like(scales, at::kInt)};
  }

  int64_t storage_bits(const LinearSite& site) const override {
    require_fit(site);
    const auto shape = grouped(site.out_features, site.in_features);
    const auto bytes_of_codes = [&](int64_t rows, int64_t columns) {
      return rows * ((columns * options_.bits + 7) / 8);
    };
    const int64_t scales = shape[0] * shape[1];
    int64_t bytes = bytes_of_codes(site.out_features, site.in_features);
    bytes += scales * static_cast<int64_t>(c10::elementSize(settings_.scale_dtype));
    if (!options_.symmetric) bytes += bytes_of_codes(shape[0], shape[1]);
    return 8 * bytes;
  }

  std::unique_ptr<QuantizedLinear> attach(const LinearSite& site, LinearInit init) override {
    require_fit(site);
    if (!at::isfinite(init.weight).all().item<bool>())
      throw DataError(
          "the weight of " + site.name + " holds NaN or infinity",
          "check the model file, or leave the layer out: quantizer.skip: [" + site.name + "]");
    return WeightOnlyQuantizer::attach(site, std::move(init));
  }

 private:
  /// [R, G, K]: group 0 is one row of one group, -1 one group per output channel.
  std::vector<int64_t> grouped(int64_t out, int64_t in) const {
    if (options_.group_size == 0) return {1, 1, out * in};
    const int64_t group = options_.group_size == -1 ? in : options_.group_size;
    QTK_CHECK(group > 0 && in % group == 0, "affine: group_size ", group, " does not divide ", in,
              " columns");
    return {out, in / group, group};
  }

  void require_fit(const LinearSite& site) const {
    if (options_.group_size > 0) require_dividing_group(site, options_.group_size);
  }

  const AffineOptions options_;
  const affine::Settings settings_;
};

}  // namespace
}  // namespace qtk

using qtk::Affine;
using qtk::AffineOptions;
QTK_PLUGIN(Quantizer, Affine, AffineOptions, .name = "affine", .version = "0.1.0",
           .summary = "Round-to-nearest integer codes with scale and zero point per group",
           .paper = "baseline; formulas of torchao's intN weight-only quantizer")
