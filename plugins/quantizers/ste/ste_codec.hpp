// Straight-through baselines: ternary by absolute mean, b bits by range.
//
//   ternary     m = max(mean|w|, 1e-5),                 code = clamp(round(w / m), -1, 1)
//   symmetric   m = max(max|w|, 1e-5) / (2^(b-1) - 1),  code = clamp(round(w / m), -2^(b-1),
//   2^(b-1) - 1) asymmetric  m = max(max w - min w, 1e-5) / (2^b - 1), zero = -round(min w / m),
//               code = clamp(round(w / m + zero), 0, 2^b - 1), weight = (code - zero) m
//
// round() is half to even. Zero points are not clamped to the codes' range, as the original does:
// there a group of positive weights collapses to one value.
#pragma once

#include <ATen/core/Tensor.h>
#include <latent_weight/coded_weight.hpp>

#include <cstdint>
#include <string>

namespace qtk::ste {

struct Scheme {
  int bits = 2;
  bool is_ternary = true;
  bool is_symmetric = true;

  /// Largest code: 2 for ternary.
  int64_t top() const { return is_ternary ? 2 : (int64_t{1} << bits) - 1; }
  /// Code of the value 0 where there are no zero points.
  int64_t middle() const { return is_ternary ? 1 : int64_t{1} << (bits - 1); }
};

/// "ternary", or "w<bits>_sym", "w<bits>_asym" for 2 and 4 bits.
Scheme scheme_of(const std::string& name);

/// Codes as whole numbers from 0 on, in the dtype of w.
struct Rounded {
  at::Tensor codes_GN, scale_G1, zero_G1;  // zero in code units; undefined if symmetric
};
/// @param w_GN  [groups, weights of one], fp32 or fp64
Rounded round_groups(const at::Tensor& w_GN, const Scheme& scheme);

class SteCodec final : public latent::WeightCodec {
 public:
  SteCodec(Scheme scheme, int64_t group_size, at::ScalarType scale_dtype)
      : scheme_(scheme), group_size_(group_size), scale_dtype_(scale_dtype) {}

  latent::CodeLayout layout(const LinearSite& site) const override;
  latent::CodedWeight encode(const LinearSite& site, const at::Tensor& w_OI) const override;
  at::Tensor decode(const LinearSite& site, const latent::CodedWeight& coded) const override;
  std::optional<UniformGrid> grid(const LinearSite& site,
                                  const latent::CodedWeight& coded) const override;

 private:
  const Scheme scheme_;
  const int64_t group_size_;
  const at::ScalarType scale_dtype_;
};

}  // namespace qtk::ste
