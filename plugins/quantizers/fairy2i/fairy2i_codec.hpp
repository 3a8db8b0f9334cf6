// Codes of Fairy2i's hard form, two bits each.
#pragma once

#include "phase_codebook.hpp"

#include <latent_weight/coded_weight.hpp>

namespace qtk::fairy2i {

///   codes   [stages * out, in / 2]: of each stage the out / 2 rows of U, then those of V
///   scales  [stages, 2, 2]: of each stage (s_re, s_im) of U, then of V
class Fairy2iCodec final : public latent::WeightCodec {
 public:
  explicit Fairy2iCodec(int stages) : stages_(stages) {}

  /// @throws ConfigError if a size is odd
  latent::CodeLayout layout(const LinearSite& site) const override;
  latent::CodedWeight encode(const LinearSite& site, const at::Tensor& w_OI) const override;
  at::Tensor decode(const LinearSite& site, const latent::CodedWeight& coded) const override;

 private:
  const int stages_;
};

}  // namespace qtk::fairy2i
