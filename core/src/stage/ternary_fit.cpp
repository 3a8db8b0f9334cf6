#include "stage/ternary_fit.hpp"

#include "format/ggml_kernels.hpp"

#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>
#include <c10/util/Half.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace qtk::stage {
namespace {

constexpr float kLargestHalf = 65504;
constexpr int64_t kQ2Block = 64;

bool has_double_level(const format::GgmlType& type) { return type.name == "Q2_0"; }

std::string levels_of(const format::GgmlType& type) {
  return has_double_level(type) ? "-1, 0, 1, 2" : "-1, 0, 1";
}

std::string number(int64_t n) { return std::to_string(n); }

std::string short_text(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2g", value);
  return text;
}

/// Q2_0 for those who asked for blocks of 256 that do not fit.
std::string other_type(const format::GgmlType& type, int64_t columns, int64_t group_size) {
  const bool q2_fits = !has_double_level(type) && columns % kQ2Block == 0 &&
                       (group_size == 0 || group_size % kQ2Block == 0);
  return q2_fits ? "use type: Q2_0, whose blocks have 64 weights" : "use type: F16";
}

void require_whole_blocks(const format::GgmlType& type, const LinearSite& site) {
  if (site.in_features % type.block_size == 0) return;
  throw ConfigError("GGUF " + std::string(type.name) + " stores rows in blocks of " +
                        number(type.block_size) + " weights, which do not divide the " +
                        number(site.in_features) + " columns of " + site.name,
                    other_type(type, site.in_features, /*group_size=*/0));
}

/// A layer on a grid says more than a block of its values.
void throw_reason_of_grid(const format::GgmlType& type, const LinearSite& site,
                          const UniformGrid& grid) {
  const std::string name(type.name);
  if (grid.bits > 2)
    throw ConfigError("GGUF " + name + " holds the levels " + levels_of(type) + " times a scale, " +
                          site.name + " has codes of " + number(grid.bits) + " bits",
                      "use type: Q8_0 or F16");
  if (grid.group_size % type.block_size != 0)
    throw ConfigError(
        "GGUF " + name + " has one scale for " + number(type.block_size) + " weights, " +
            site.name + " has one for every " + number(grid.group_size),
        other_type(type, site.in_features, grid.group_size) +
            ", or quantize with a group_size that is a multiple of " + number(type.block_size));
}

[[noreturn]] void throw_misfit(const format::GgmlType& type, const LinearSite& site,
                               const QuantizedLinear* layer, int64_t block) {
  if (layer != nullptr)
    if (const auto grid = layer->grid()) throw_reason_of_grid(type, site, *grid);
  const int64_t per_row = site.in_features / type.block_size;
  const int64_t row = block / per_row, column = block % per_row * type.block_size;
  throw ConfigError("GGUF " + std::string(type.name) + " holds the levels " + levels_of(type) +
                        " times a scale, which the values of " + site.name + " in row " +
                        number(row) + ", columns " + number(column) + " to " +
                        number(column + type.block_size - 1) + " are not",
                    layer != nullptr ? "use type: F16 or Q8_0"
                                     : "export a ternary variant, or use type: F16 or Q8_0");
}

double rounding_of(float step, const LinearSite& site, const format::GgmlType& type) {
  const float stored =
      c10::detail::fp16_ieee_to_fp32_value(c10::detail::fp16_ieee_from_fp32_value(step));
  if (stored == 0 || std::abs(step) > kLargestHalf)
    throw ConfigError("GGUF " + std::string(type.name) + " stores scales as f16, " + site.name +
                          " has the scale " + short_text(step) + ", which f16 cannot hold",
                      "use type: F32");
  return std::abs(static_cast<double>(stored) / step - 1);
}

}  // namespace

bool is_ternary_type(const format::GgmlType& type) {
  return type.name == "TQ1_0" || type.name == "TQ2_0" || type.name == "Q2_0";
}

void ScaleRounding::add(const ScaleRounding& other) {
  num_weights += other.num_weights;
  largest = std::max(largest, other.largest);
}

std::string ScaleRounding::text() const {
  return number(num_weights) + " weights with equal codes, scales " +
         (largest == 0 ? "exact" : "within " + short_text(largest) + " (f16)");
}

ScaleRounding require_ternary_fit(const format::GgmlType& type, const LinearSite& site,
                                  const at::Tensor& weight, const QuantizedLinear* layer) {
  require_whole_blocks(type, site);
  const auto w = weight.detach().to(at::kCPU, at::kFloat).contiguous();
  const float* values = w.const_data_ptr<float>();
  ScaleRounding rounding{.num_weights = 1};
  for (int64_t block = 0; block < w.numel() / type.block_size; ++block) {
    const auto step = format::kernels::level_step(values + block * type.block_size, type.block_size,
                                                  has_double_level(type));
    if (!step) throw_misfit(type, site, layer, block);
    if (*step != 0) rounding.largest = std::max(rounding.largest, rounding_of(*step, site, type));
  }
  return rounding;
}

}  // namespace qtk::stage
