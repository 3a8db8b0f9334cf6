#include "ste_codec.hpp"

#include <ATen/ATen.h>
#include <latent_weight/grouping.hpp>

namespace qtk::ste {
namespace {

constexpr double kLeastRange = 1e-5;
constexpr double kMostZeroPoint = 32000;  // fits in the int16 in which zero points are stored

Rounded round_symmetric(const at::Tensor& w_GN, const Scheme& scheme) {
  const double most = static_cast<double>(scheme.top() - scheme.middle());
  const at::Tensor size_G1 =
      scheme.is_ternary ? w_GN.abs().mean(1, true) : w_GN.abs().amax(1, true);
  const at::Tensor scale_G1 = size_G1.clamp_min(kLeastRange) / most;
  const double middle = static_cast<double>(scheme.middle());
  const at::Tensor codes_GN = (w_GN / scale_G1).round().clamp(-middle, most) + middle;
  return {codes_GN, scale_G1, at::Tensor()};
}

Rounded round_asymmetric(const at::Tensor& w_GN, const Scheme& scheme) {
  const double top = static_cast<double>(scheme.top());
  const at::Tensor low_G1 = w_GN.amin(1, true), high_G1 = w_GN.amax(1, true);
  // Nearly equal weights far from zero would need a zero point beyond what can be stored.
  const at::Tensor least_G1 = at::maximum(low_G1.abs(), high_G1.abs()) / kMostZeroPoint;
  const at::Tensor scale_G1 =
      at::maximum((high_G1 - low_G1).clamp_min(kLeastRange) / top, least_G1);
  const at::Tensor zero_G1 = -(low_G1 / scale_G1).round();
  return {(w_GN / scale_G1 + zero_G1).round().clamp(0, top), scale_G1, zero_G1};
}

}  // namespace

Scheme scheme_of(const std::string& name) {
  if (name == "ternary") return {};
  return {.bits = name.starts_with("w4") ? 4 : 2,
          .is_ternary = false,
          .is_symmetric = name.ends_with("_sym")};
}

Rounded round_groups(const at::Tensor& w_GN, const Scheme& scheme) {
  return scheme.is_symmetric ? round_symmetric(w_GN, scheme) : round_asymmetric(w_GN, scheme);
}

latent::CodeLayout SteCodec::layout(const LinearSite& site) const {
  const std::vector<int64_t> shape = latent::grouping_of(site, group_size_).shape;
  return {.codes = {site.out_features, site.in_features},
          .scales = shape,
          .zeros = scheme_.is_symmetric ? std::vector<int64_t>{} : shape,
          .packing = scheme_.is_ternary ? latent::CodePacking::kBase3 : latent::CodePacking::kBits,
          .bits = scheme_.bits,
          .scale_dtype = scale_dtype_};
}

latent::CodedWeight SteCodec::encode(const LinearSite& site, const at::Tensor& w_OI) const {
  const auto grouping = latent::grouping_of(site, group_size_);
  const Rounded rounded = round_groups(w_OI.reshape({grouping.count, grouping.size}), scheme_);
  const at::Tensor scale = rounded.scale_G1.reshape(grouping.shape);
  const bool is_exact = w_OI.scalar_type() == at::kDouble;
  return {rounded.codes_GN.to(at::kByte).reshape(w_OI.sizes()),
          is_exact ? scale : scale.to(scale_dtype_),
          rounded.zero_G1.defined() ? rounded.zero_G1.to(at::kShort).reshape(grouping.shape)
                                    : at::Tensor()};
}

at::Tensor SteCodec::decode(const LinearSite& site, const latent::CodedWeight& coded) const {
  const auto grouping = latent::grouping_of(site, group_size_);
  const auto dtype = coded.scales.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const at::Tensor codes_GN = coded.codes.reshape({grouping.count, grouping.size}).to(dtype);
  const at::Tensor scale_G1 = coded.scales.to(dtype).reshape({-1, 1});
  const at::Tensor value_GN =
      (coded.zeros.defined() ? codes_GN - coded.zeros.reshape({-1, 1})
                             : codes_GN - static_cast<double>(scheme_.middle())) *
      scale_G1;
  return value_GN.reshape(coded.codes.sizes());
}

std::optional<UniformGrid> SteCodec::grid(const LinearSite& site,
                                          const latent::CodedWeight& coded) const {
  const int64_t out = site.out_features, in = site.in_features;
  const int64_t group = group_size_ > 0 ? group_size_ : in;
  const auto per_row = [&](const at::Tensor& tensor, at::ScalarType dtype) {
    return tensor.to(dtype).expand({out, in / group}).contiguous();
  };
  const at::Tensor scales = per_row(coded.scales, at::kFloat);
  const at::Tensor codes = coded.codes.to(at::kInt);
  return UniformGrid{.bits = scheme_.bits,
                     .is_signed = scheme_.is_symmetric,
                     .group_size = group,
                     .codes = scheme_.is_symmetric ? codes - scheme_.middle() : codes,
                     .scales = scales,
                     .zeros = coded.zeros.defined() ? per_row(coded.zeros, at::kInt)
                                                    : at::zeros_like(scales, at::kInt)};
}

}  // namespace qtk::ste
