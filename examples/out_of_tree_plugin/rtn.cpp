// Round-to-nearest weight quantizer: the baseline every other method must beat.
#include <qtk/plugin.hpp>

#include <ATen/ATen.h>

namespace {

struct RtnOptions {
  int bits = 4;
  int64_t group_size = 128;
  bool symmetric = true;
  std::string scale_rule = "absmax";

  static void describe(qtk::OptionSet<RtnOptions>& o) {
    o.field("bits", &RtnOptions::bits).range(2, 8).unit("bit").doc("Bits per weight.");
    o.field("group_size", &RtnOptions::group_size)
        .one_of({32, 64, 128, 256})
        .doc("Input channels that share one scale.");
    o.field("symmetric", &RtnOptions::symmetric).doc("Signed codes without a zero point.");
    o.field("scale_rule", &RtnOptions::scale_rule)
        .one_of({"absmax", "mse"})
        .doc("How a group's scale is chosen.");
  }
};

// Shape suffixes: O = output channels, I = input channels, G = I / group_size, K = group_size.
class Rtn final : public qtk::WeightOnlyQuantizer {
 public:
  explicit Rtn(RtnOptions options) : options_(std::move(options)) {}

  qtk::Quantized quantize(const at::Tensor& w_OI) const override {
    if (w_OI.size(1) % options_.group_size != 0)
      throw qtk::ConfigError("group_size " + std::to_string(options_.group_size) +
                             " does not divide the " + std::to_string(w_OI.size(1)) + " columns");
    const auto w_OGK = w_OI.unflatten(1, {-1, options_.group_size});
    auto shrink_OG1 = at::ones({w_OGK.size(0), w_OGK.size(1), 1}, w_OI.options());
    if (options_.scale_rule == "mse") {
      auto least_OG1 = squared_error(w_OGK, shrink_OG1);
      for (const double trial : {0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6}) {
        const auto error_OG1 = squared_error(w_OGK, at::full_like(shrink_OG1, trial));
        shrink_OG1 = at::where(error_OG1 < least_OG1, trial, shrink_OG1);
        least_OG1 = at::minimum(least_OG1, error_OG1);
      }
    }
    return round_to_grid(w_OGK, shrink_OG1);
  }

  at::Tensor dequantize(const qtk::Quantized& q) const override {
    const auto codes = q.codes.to(q.scales.scalar_type());
    return ((q.zeros.defined() ? codes - q.zeros : codes) * q.scales).flatten(1);
  }

 private:
  qtk::Quantized round_to_grid(const at::Tensor& w_OGK, const at::Tensor& shrink_OG1) const {
    const double top = (1 << (options_.symmetric ? options_.bits - 1 : options_.bits)) - 1;
    if (options_.symmetric) {
      const auto scale_OG1 = w_OGK.abs().amax(-1, true).clamp_min(1e-8) * shrink_OG1 / top;
      const auto code_OGK = (w_OGK / scale_OG1).round().clamp(-top - 1, top);
      return {code_OGK.to(at::kChar), scale_OG1, at::Tensor(), options_.bits};
    }
    const auto low_OG1 = w_OGK.amin(-1, true).clamp_max(0),
               high_OG1 = w_OGK.amax(-1, true).clamp_min(0);
    const auto scale_OG1 = (high_OG1 - low_OG1).clamp_min(1e-8) * shrink_OG1 / top;
    const auto zero_OG1 = (-low_OG1 * shrink_OG1 / scale_OG1).round().clamp(0, top);
    const auto code_OGK = ((w_OGK / scale_OG1).round() + zero_OG1).clamp(0, top);
    return {code_OGK.to(at::kByte), scale_OG1, zero_OG1.to(at::kByte), options_.bits};
  }

  at::Tensor squared_error(const at::Tensor& w_OGK, const at::Tensor& shrink_OG1) const {
    const auto rounded_OGK = dequantize(round_to_grid(w_OGK, shrink_OG1)).view_as(w_OGK);
    return (rounded_OGK - w_OGK).square().sum(-1, /*keepdim=*/true);
  }

  const RtnOptions options_;
};

}  // namespace

QTK_PLUGIN(Quantizer, Rtn, RtnOptions, .name = "rtn", .version = "0.1.0",
           .summary = "Round-to-nearest, per-group scales", .paper = "baseline")
