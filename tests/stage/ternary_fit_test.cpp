// Ternary GGUF types take what they hold without loss, and say why they refuse the rest.
#include "stage/ternary_fit.hpp"

#include "stage_fixtures.hpp"

#include <ATen/ATen.h>

#include <cmath>

namespace qtk::stage {
namespace {

/// Only says what grid it is on.
class OnGrid final : public QuantizedLinear {
 public:
  OnGrid(int bits, int64_t group_size) : bits_(bits), group_size_(group_size) {}
  at::Tensor forward(const at::Tensor&) override { return {}; }
  at::Tensor weight() const override { return {}; }
  PackedWeight pack() const override { return {}; }
  std::optional<UniformGrid> grid() const override {
    return UniformGrid{.bits = bits_, .group_size = group_size_};
  }

 private:
  int bits_;
  int64_t group_size_;
};

LinearSite site_of(int64_t columns) {
  return {.name = "model.layers.3.mlp.up_proj", .out_features = 4, .in_features = columns};
}

/// Levels `low` to `low + count - 1`, all of them in every group, times one scale a group.
at::Tensor levels(int64_t columns, int64_t group, int low, int count, double scale = 0.1) {
  const int64_t groups = columns / group;
  const auto codes =
      (at::arange(4 * columns) * 7).remainder(count).to(at::kFloat).reshape({4, groups, group}) +
      low;
  const auto scales = (at::arange(4 * groups).to(at::kFloat) + 1).reshape({4, groups, 1}) * scale;
  return (codes * scales).reshape({4, columns});
}

ScaleRounding fit(const char* type, const at::Tensor& weight,
                  const QuantizedLinear* layer = nullptr) {
  return require_ternary_fit(format::ggml_type(type), site_of(weight.size(1)), weight, layer);
}

std::string refusal(const char* type, const at::Tensor& weight,
                    const QuantizedLinear* layer = nullptr) {
  return sentence_of<ConfigError>([&] { fit(type, weight, layer); });
}

at::Tensor through(const char* name, const at::Tensor& weight) {
  const auto& type = format::ggml_type(name);
  const auto blocks = format::quantize_blocks(type, weight, "w");
  return format::dequantize_blocks(
      type, {static_cast<const std::byte*>(blocks.const_data_ptr()), blocks.nbytes()},
      weight.sizes(), "w");
}

TEST(TernaryFit, TakesGroupsThatAreWholeBlocks) {
  for (const char* type : {"TQ1_0", "TQ2_0"})
    for (const int64_t group : {256, 512, 1024})
      EXPECT_NO_THROW(fit(type, levels(1024, group, -1, 3)));
  for (const int64_t group : {64, 128, 576})
    EXPECT_NO_THROW(fit("Q2_0", levels(1152, group, -1, 3)));
}

TEST(TernaryFit, TakesBinaryEverywhereAndFourLevelsInQ2_0) {
  const auto binary = 2 * (levels(256, 256, 0, 2, 1) / levels(256, 256, 1, 1, 1)) - 1;
  for (const char* type : {"TQ1_0", "TQ2_0", "Q2_0"}) EXPECT_NO_THROW(fit(type, binary));
  EXPECT_NO_THROW(fit("Q2_0", levels(256, 64, -1, 4)));
  EXPECT_NO_THROW(fit("Q2_0", levels(256, 64, -2, 4)));
  EXPECT_NE(refusal("TQ2_0", levels(256, 256, -2, 4)), "");
  EXPECT_NE(refusal("Q2_0", levels(256, 64, 0, 4)), "");
  EXPECT_NE(refusal("Q2_0", levels(256, 64, -2, 5)), "");
}

TEST(TernaryFit, WhatFitsDecodesToItselfUpToTheStatedRounding) {
  for (const auto& [type, group] : {std::pair{"TQ1_0", 256}, {"TQ2_0", 512}, {"Q2_0", 64}}) {
    const auto weight = levels(512, group, -1, 3, 0.1);
    const ScaleRounding rounding = fit(type, weight);

    const auto found = through(type, weight);

    EXPECT_TRUE(at::equal(found.sign(), weight.sign())) << type;
    const auto error = ((found - weight).abs() / weight.abs()).nan_to_num(0).max().item<double>();
    EXPECT_NEAR(error, rounding.largest, 1e-7) << type;
    EXPECT_GT(rounding.largest, 0) << type;
    EXPECT_LE(rounding.largest, std::exp2(-11)) << type;
  }
}

TEST(TernaryFit, ScalesThatF16HoldsAreExact) {
  const auto weight = levels(512, 256, -1, 3, 0.125);

  EXPECT_EQ(fit("TQ2_0", weight).text(), "1 weights with equal codes, scales exact");
  EXPECT_TRUE(at::equal(through("TQ2_0", weight), weight));
}

TEST(TernaryFit, TellsTheRoundingOfAllWeights) {
  ScaleRounding all = fit("Q2_0", levels(64, 64, -1, 3, 0.125));
  all.add(fit("Q2_0", levels(64, 64, -1, 3, 1 + std::exp2(-11) - 1e-6)));

  EXPECT_EQ(all.text(), "2 weights with equal codes, scales within 0.00049 (f16)");
}

TEST(TernaryFit, ColumnsThatAreNoWholeBlocksAreRefused) {
  EXPECT_EQ(refusal("TQ2_0", levels(576, 64, -1, 3)),
            "GGUF TQ2_0 stores rows in blocks of 256 weights, which do not divide the 576 columns "
            "of model.layers.3.mlp.up_proj | use type: Q2_0, whose blocks have 64 weights");
  EXPECT_EQ(refusal("Q2_0", levels(96, 32, -1, 3)),
            "GGUF Q2_0 stores rows in blocks of 64 weights, which do not divide the 96 columns of "
            "model.layers.3.mlp.up_proj | use type: F16");
}

TEST(TernaryFit, GroupsSmallerThanABlockAreRefused) {
  const OnGrid by_64(2, 64), by_32(2, 32);

  EXPECT_EQ(refusal("TQ1_0", levels(512, 64, -1, 3), &by_64),
            "GGUF TQ1_0 has one scale for 256 weights, model.layers.3.mlp.up_proj has one for "
            "every 64 | use type: Q2_0, whose blocks have 64 weights, or quantize with a "
            "group_size that is a multiple of 256");
  EXPECT_EQ(refusal("Q2_0", levels(512, 32, -1, 3), &by_32),
            "GGUF Q2_0 has one scale for 64 weights, model.layers.3.mlp.up_proj has one for every "
            "32 | use type: F16, or quantize with a group_size that is a multiple of 64");
}

TEST(TernaryFit, WiderCodesAreRefused) {
  const OnGrid four_bits(4, 256);

  EXPECT_EQ(refusal("TQ2_0", levels(256, 256, -8, 16), &four_bits),
            "GGUF TQ2_0 holds the levels -1, 0, 1 times a scale, model.layers.3.mlp.up_proj has "
            "codes of 4 bits | use type: Q8_0 or F16");
}

TEST(TernaryFit, ValuesOffTheGridAreRefusedWithTheirPlace) {
  auto weight = levels(768, 256, -1, 3);
  weight[2][300] = 0.37;

  EXPECT_EQ(refusal("TQ2_0", weight),
            "GGUF TQ2_0 holds the levels -1, 0, 1 times a scale, which the values of "
            "model.layers.3.mlp.up_proj in row 2, columns 256 to 511 are not | export a ternary "
            "variant, or use type: F16 or Q8_0");
}

TEST(TernaryFit, ScalesOutsideF16AreRefused) {
  for (const double scale : {1e-9, 7e4})
    expect_contains(refusal("Q2_0", levels(64, 64, -1, 3, scale)),
                    {"GGUF Q2_0 stores scales as f16", "which f16 cannot hold", "type: F32"});
}

}  // namespace
}  // namespace qtk::stage
