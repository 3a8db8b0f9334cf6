#include "latent_weight/latent_linear.hpp"

#include "latent_weight/coded_linear.hpp"
#include "latent_weight/gradient.hpp"

#include <qtk/linear_product.hpp>
#include <qtk/runtime/check.hpp>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <utility>

namespace qtk::latent {
namespace {

at::Tensor latent_from(const LinearSite& site, const at::Tensor& weight) {
  QTK_CHECK(weight.defined() && weight.dim() == 2 && weight.size(0) == site.out_features &&
                weight.size(1) == site.in_features && weight.is_floating_point(),
            "weight of ", site.name, " must be a floating [", site.out_features, ", ",
            site.in_features, "], got ", weight.toString(), " ", weight.sizes());
  if (!at::isfinite(weight).all().item<bool>())
    throw DataError(
        "the weight of " + site.name + " holds NaN or infinity",
        "check the model file, or leave the layer out: quantizer.skip: [" + site.name + "]");
  const auto dtype = weight.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  return weight.detach().to(dtype).contiguous().requires_grad_();
}

}  // namespace

LatentLinear::LatentLinear(std::shared_ptr<const WeightCodec> codec, LinearSite site,
                           LinearInit init)
    : codec_(std::move(codec)),
      site_(std::move(site)),
      layout_(codec_->layout(site_)),
      latent_(latent_from(site_, init.weight)),
      bias_(std::move(init.bias)) {
  check_bias(site_, bias_);
}

LatentLinear::~LatentLinear() = default;

at::Tensor LatentLinear::forward(const at::Tensor& x) {
  return linear_product(x, effective_weight(x.scalar_type()), bias_);
}

at::Tensor LatentLinear::effective_weight(at::ScalarType) {
  at::Tensor value;
  {
    const at::NoGradGuard no_grad;
    value = codec_->decode(site_, coded());
  }
  return straight_through(latent_, value);
}

at::Tensor LatentLinear::weight() const {
  const at::NoGradGuard no_grad;
  return codec_->decode(site_, as_stored(coded(), layout_));
}

PackedWeight LatentLinear::pack() const { return latent::pack(coded(), layout_); }

std::optional<UniformGrid> LatentLinear::grid() const {
  return codec_->grid(site_, as_stored(coded(), layout_));
}

std::vector<TrainableTensor> LatentLinear::trainable() {
  return {{.name = "weight", .leaf = latent_}};
}

CodedWeight LatentLinear::coded() const {
  const at::NoGradGuard no_grad;
  return codec_->encode(site_, latent_.detach());
}

}  // namespace qtk::latent
