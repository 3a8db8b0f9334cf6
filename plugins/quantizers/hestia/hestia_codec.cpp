#include "hestia_codec.hpp"

#include "effective_weight.hpp"

#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>
#include <latent_weight/coded_weight.hpp>
#include <latent_weight/grouping.hpp>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>

namespace qtk::hestia {
namespace {

constexpr size_t kMostCodes = 256;

[[noreturn]] void refuse_codebook(const std::string& text, const std::string& what) {
  throw ConfigError("codebook '" + text + "' " + what,
                    "give binary, ternary, int2 or at least two numbers: \"-2, -1, 0, 1\"");
}

double parse_level(const std::string& text, std::string_view word) {
  const auto first = word.find_first_not_of(" \t");
  const auto last = word.find_last_not_of(" \t");
  if (first == std::string_view::npos) refuse_codebook(text, "holds an empty number");
  word = word.substr(first, last - first + 1);
  double value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size() || !std::isfinite(value))
    refuse_codebook(text, "holds '" + std::string(word) + "', which is no number");
  return value;
}

Form hard_form(const CodecOptions& options) {
  return {
      .levels = options.levels, .semantics = options.semantics, .scale_dtype = options.scale_dtype};
}

}  // namespace

std::vector<double> parse_codebook(const std::string& text) {
  if (text == "binary") return {-1, 1};
  if (text == "ternary") return {-1, 0, 1};
  if (text == "int2") return {-2, -1, 0, 1};
  std::vector<double> levels;
  for (size_t at = 0; at <= text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    levels.push_back(parse_level(text, std::string_view(text).substr(at, comma - at)));
    at = comma + 1;
  }
  std::sort(levels.begin(), levels.end());
  levels.erase(std::unique(levels.begin(), levels.end()), levels.end());
  if (levels.size() < 2) refuse_codebook(text, "holds fewer than two different numbers");
  if (levels.size() > kMostCodes) refuse_codebook(text, "holds more than 256 numbers");
  return levels;
}

latent::CodeLayout HestiaCodec::layout(const LinearSite& site) const {
  const size_t codes = options_.levels.size();
  return {.codes = {site.out_features, site.in_features},
          .scales = latent::grouping_of(site, options_.group_size).shape,
          .zeros = {},
          .packing = codes == 3 ? latent::CodePacking::kBase3 : latent::CodePacking::kBits,
          .bits = static_cast<int>(std::bit_width(codes - 1)),
          .scale_dtype = options_.scale_dtype};
}

latent::CodedWeight HestiaCodec::encode(const LinearSite& site, const at::Tensor& w_OI) const {
  const auto grouping = latent::grouping_of(site, options_.group_size);
  const at::Tensor scale = group_scale(w_OI, grouping, options_.semantics);
  const bool is_exact = w_OI.scalar_type() == at::kDouble;
  return {nearest_code(w_OI, scale, grouping, hard_form(options_)),
          is_exact ? scale : scale.to(options_.scale_dtype), at::Tensor()};
}

at::Tensor HestiaCodec::decode(const LinearSite& site, const latent::CodedWeight& coded) const {
  return latent::decode_levels(coded, options_.levels,
                               latent::grouping_of(site, options_.group_size));
}

std::optional<UniformGrid> HestiaCodec::grid(const LinearSite& site,
                                             const latent::CodedWeight& coded) const {
  double most = 1;  // of -level - 1 and level: what a signed code must reach
  for (const double level : options_.levels) {
    if (level != std::floor(level) || std::abs(level) > 127) return std::nullopt;
    most = std::max({most, level, -level - 1});
  }
  const int64_t out = site.out_features, in = site.in_features;
  const int64_t group = options_.group_size > 0 ? options_.group_size : in;
  const at::Tensor levels = at::tensor(options_.levels, at::kDouble).to(at::kInt);
  const at::Tensor scales = coded.scales.to(at::kFloat).expand({out, in / group}).contiguous();
  return UniformGrid{.bits = 1 + static_cast<int>(std::bit_width(static_cast<unsigned>(most))),
                     .is_signed = true,
                     .group_size = group,
                     .codes = levels.to(coded.codes.device()).index({coded.codes.to(at::kLong)}),
                     .scales = scales,
                     .zeros = at::zeros_like(scales, at::kInt)};
}

}  // namespace qtk::hestia
