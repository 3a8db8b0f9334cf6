// Codes and scales of Hestia's hard form.
#pragma once

#include "soft_codebook.hpp"

#include <latent_weight/coded_weight.hpp>

#include <string>
#include <vector>

namespace qtk::hestia {

/// "binary" {-1, 1}, "ternary" {-1, 0, 1}, "int2" {-2, -1, 0, 1}, or numbers "-1.5, 0, 1": sorted,
/// equal ones once.
/// @throws ConfigError
std::vector<double> parse_codebook(const std::string& text);

struct CodecOptions {
  std::vector<double> levels;
  int64_t group_size = 128;
  Semantics semantics = Semantics::kReleased;
  at::ScalarType scale_dtype = at::kFloat;
};

/// Three codes are packed five in a byte, others at the bits they need.
class HestiaCodec final : public latent::WeightCodec {
 public:
  explicit HestiaCodec(CodecOptions options) : options_(std::move(options)) {}

  latent::CodeLayout layout(const LinearSite& site) const override;
  latent::CodedWeight encode(const LinearSite& site, const at::Tensor& w_OI) const override;
  at::Tensor decode(const LinearSite& site, const latent::CodedWeight& coded) const override;
  /// Codes are the levels themselves; nothing if one is no integer of a byte.
  std::optional<UniformGrid> grid(const LinearSite& site,
                                  const latent::CodedWeight& coded) const override;

  const CodecOptions& options() const { return options_; }

 private:
  const CodecOptions options_;
};

}  // namespace qtk::hestia
