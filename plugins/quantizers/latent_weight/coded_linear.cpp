#include "latent_weight/coded_linear.hpp"

#include <qtk/linear_product.hpp>
#include <qtk/runtime/check.hpp>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <utility>

namespace qtk::latent {

void check_bias(const LinearSite& site, const at::Tensor& bias) {
  QTK_CHECK(!bias.defined() || (bias.dim() == 1 && bias.size(0) == site.out_features), "bias of ",
            site.name, " must be [", site.out_features, "], got ", bias.sizes());
}

CodedLinear::CodedLinear(std::shared_ptr<const WeightCodec> codec, LinearSite site,
                         PackedWeight packed, at::Tensor bias)
    : codec_(std::move(codec)),
      site_(std::move(site)),
      layout_(codec_->layout(site_)),
      packed_(std::move(packed)),
      bias_(std::move(bias)) {
  check_bias(site_, bias_);
  unpacked();  // damage is reported when the model is opened, not in its first forward
}

at::Tensor CodedLinear::forward(const at::Tensor& x) {
  return linear_product(x, x.device().is_cpu() ? weight() : weight_on(x.device()), bias_);
}

at::Tensor CodedLinear::weight() const {
  const at::NoGradGuard no_grad;
  return codec_->decode(site_, unpacked());
}

std::optional<UniformGrid> CodedLinear::grid() const { return codec_->grid(site_, unpacked()); }

CodedWeight CodedLinear::unpacked() const { return unpack(site_, packed_, layout_); }

/// Packed files are read on the CPU; the first input tells where the run computes.
at::Tensor CodedLinear::weight_on(at::Device device) {
  const at::NoGradGuard no_grad;
  if (!resident_ || resident_->codes.device() != device) resident_ = to_device(unpacked(), device);
  return codec_->decode(site_, *resident_);
}

}  // namespace qtk::latent
