#include "fairy2i_codec.hpp"

#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>

#include <string>
#include <vector>

namespace qtk::fairy2i {
namespace {

struct StageCodes {
  at::Tensor sectors, scales;  // [P, Q], [2]
};

std::vector<StageCodes> encode_matrix(ComplexMatrix rest, int stages) {
  std::vector<StageCodes> result;
  for (int stage = 0; stage < stages; ++stage) {
    const at::Tensor codes = sectors(rest);
    result.push_back({codes, stage_scales(rest, codes)});
    const ComplexMatrix value = hard_value(codes, result.back().scales);
    rest = {rest.re - value.re, rest.im - value.im};
  }
  return result;
}

}  // namespace

latent::CodeLayout Fairy2iCodec::layout(const LinearSite& site) const {
  if (site.out_features % 2 != 0 || site.in_features % 2 != 0)
    throw ConfigError("fairy2i pairs rows and columns, but " + site.name + " is " +
                          std::to_string(site.out_features) + " x " +
                          std::to_string(site.in_features),
                      "leave the layer out: quantizer.skip: [" + site.name + "]");
  return {.codes = {stages_ * site.out_features, site.in_features / 2},
          .scales = {stages_, 2, 2},
          .zeros = {},
          .packing = latent::CodePacking::kBits,
          .bits = 2,
          .scale_dtype = at::kFloat};
}

latent::CodedWeight Fairy2iCodec::encode(const LinearSite&, const at::Tensor& w_OI) const {
  const WidelyLinear parts = split(w_OI);
  const auto u = encode_matrix(parts.u, stages_), v = encode_matrix(parts.v, stages_);
  std::vector<at::Tensor> codes, scales;
  for (size_t stage = 0; stage < u.size(); ++stage) {
    codes.insert(codes.end(), {u[stage].sectors, v[stage].sectors});
    scales.insert(scales.end(), {u[stage].scales, v[stage].scales});
  }
  return {at::cat(codes, 0), at::stack(scales).reshape({stages_, 2, 2}), at::Tensor()};
}

at::Tensor Fairy2iCodec::decode(const LinearSite&, const latent::CodedWeight& coded) const {
  const auto codes = coded.codes.chunk(2 * stages_, 0);
  const at::Tensor scales = coded.scales.reshape({2 * stages_, 2});
  ComplexMatrix sums[2];  // U, V
  for (int64_t i = 0; i < 2 * stages_; ++i) {
    const ComplexMatrix value = hard_value(codes[static_cast<size_t>(i)], scales[i]);
    ComplexMatrix& sum = sums[i % 2];
    sum = sum.re.defined() ? ComplexMatrix{sum.re + value.re, sum.im + value.im} : value;
  }
  return join({sums[0], sums[1]});
}

}  // namespace qtk::fairy2i
