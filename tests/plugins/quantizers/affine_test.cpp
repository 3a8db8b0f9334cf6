#include <qtk/testing/quantizer_contract.hpp>
#include <qtk/testing/plugin_under_test.hpp>
#include <qtk/weight_only.hpp>

#include "../../../plugins/quantizers/affine/affine_math.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

namespace qtk {
namespace {

using testing::gaussian;
using testing::make;

QTK_INSTANTIATE_CONTRACT(QuantizerContract, "affine");

at::Tensor matrix(std::vector<float> values, int64_t columns) {
  return at::tensor(values).reshape({-1, columns});
}

/// The weight of the vectors below; its last group is all zero.
at::Tensor vector_weight() {
  return matrix({0.12F, -0.53F, 0.97F, -1.41F, 2.05F, 0.08F, 0.33F, 0.76F,  //
                 -0.25F, -1.75F, -0.5F, -0.125F, 0, 0, 0, 0}, 8);
}

LinearSite site_of(int64_t out, int64_t in) {
  return {.name = "model.layers.0.mlp.up_proj", .out_features = out, .in_features = in};
}

struct Vector {
  const char* options;
  std::vector<double> scales;  // row 0 groups 0 and 1, row 1 group 0
  std::vector<int> zeros;
  std::vector<int> codes;      // row 0, then the first four of row 1
  double squared_error;
};

// torchao's quant_primitives at f538027ab, fp32, groups of 4.
const Vector kVectors[] = {
    {"{bits: 2, group_size: 4}", {.7933333516, .6833333373, .5833333135}, {2, 0, 3},
     {2, 1, 3, 0, 3, 0, 0, 1, 3, 0, 2, 3}, 0.352413944},
    {"{bits: 3, group_size: 4}", {.3400000036, .2928571403, .25}, {4, 0, 7},
     {4, 2, 7, 0, 7, 0, 1, 3, 6, 0, 5, 7}, 0.079363770},
    {"{bits: 4, group_size: 4}", {.1586666703, .1366666704, .1166666672}, {9, 0, 15},
     {10, 6, 15, 0, 15, 1, 2, 6, 13, 0, 11, 14}, 0.016539672},
    {"{bits: 5, group_size: 4}", {.0767741948, .0661290288, .0564516112}, {18, 0, 31},
     {20, 11, 31, 0, 31, 1, 5, 11, 27, 0, 22, 29}, 0.004806790},
    {"{bits: 6, group_size: 4}", {.0377777778, .0325396806, .0277777780}, {37, 0, 63},
     {40, 23, 63, 0, 63, 2, 10, 23, 54, 0, 45, 59}, 0.000915424},
    {"{bits: 8, group_size: 4}", {.0093333339, .0080392156, .0068627452}, {151, 0, 255},
     {164, 94, 255, 0, 255, 10, 41, 95, 219, 0, 182, 237}, 0.000032628},
    {"{bits: 2, group_size: 4, symmetric: true}", {.9399999976, 1.3666666746, 1.1666666269}, {},
     {0, -1, 1, -2, 1, 0, 0, 1, 0, -2, 0, 0}, 2.022991577},
    {"{bits: 3, group_size: 4, symmetric: true}", {.4028571248, .5857142806, .5}, {},
     {0, -1, 2, -4, 3, 0, 1, 1, 0, -4, -1, 0}, 0.426684191},
    {"{bits: 4, group_size: 4, symmetric: true}", {.1879999936, .2733333409, .2333333343}, {},
     {1, -3, 5, -8, 7, 0, 1, 3, -1, -8, -2, -1}, 0.074140978},
    {"{bits: 5, group_size: 4, symmetric: true}", {.0909677371, .1322580576, .1129032224}, {},
     {1, -6, 11, -16, 15, 1, 2, 6, -2, -16, -4, -1}, 0.022877963},
    {"{bits: 6, group_size: 4, symmetric: true}", {.0447619036, .0650793612, .0555555560}, {},
     {3, -12, 22, -32, 31, 1, 5, 12, -4, -32, -9, -2}, 0.004451691},
};

TEST(Affine, GivesThePublishedCodesScalesAndErrors) {
  for (const auto& expected : kVectors) {
    SCOPED_TRACE(expected.options);
    const auto affine = make<WeightOnlyQuantizer>("affine", expected.options);

    const auto q = affine->quantize(vector_weight());

    const auto codes = q.codes.to(at::kInt).flatten();
    for (size_t i = 0; i < expected.codes.size(); ++i)
      EXPECT_EQ(codes[static_cast<int64_t>(i)].item<int>(), expected.codes[i]) << "code " << i;
    const auto scales = q.scales.flatten();
    for (size_t g = 0; g < 3; ++g)
      EXPECT_NEAR(scales[static_cast<int64_t>(g)].item<double>(), expected.scales[g], 1e-7 * expected.scales[g]);
    for (size_t g = 0; g < expected.zeros.size(); ++g)
      EXPECT_EQ(q.zeros.flatten()[static_cast<int64_t>(g)].item<int>(), expected.zeros[g]);
    const double error = (affine->dequantize(q) - vector_weight()).to(at::kDouble).square().sum().item<double>();
    EXPECT_NEAR(error, expected.squared_error, 1e-6 * expected.squared_error + 1e-9);
  }
}

TEST(Affine, PerChannelSymmetricEightBitsGivesThePublishedCodes) {
  const auto affine = make<WeightOnlyQuantizer>("affine", "{bits: 8, group_size: -1, symmetric: true}");

  const auto q = affine->quantize(vector_weight());

  EXPECT_TRUE(at::equal(q.codes.flatten().slice(0, 0, 12).to(at::kInt),
                        at::tensor({7, -33, 60, -88, 127, 5, 21, 47, -18, -127, -36, -9}, at::kInt)));
  EXPECT_NEAR(q.scales.flatten()[0].item<double>(), .0160784312, 1e-9);
  EXPECT_NEAR(q.scales.flatten()[1].item<double>(), .0137254903, 1e-9);
}

TEST(Affine, AnAllZeroGroupHasCodesAndZeroPointZero) {
  const auto affine = make<WeightOnlyQuantizer>("affine", "{bits: 4, group_size: 4}");

  const auto q = affine->quantize(vector_weight());

  EXPECT_NEAR(q.scales.flatten()[3].item<double>(), 1e-6, 1e-13);
  EXPECT_EQ(q.zeros.flatten()[3].item<int>(), 0);
  EXPECT_EQ(q.codes[1].slice(0, 4).sum().item<int>(), 0);
}

// The published bf16 vector has twice this error at 6 bits because it chose scales in bf16.
TEST(Affine, ABf16WeightIsTreatedInFullPrecision) {
  const auto affine = make<Quantizer>("affine", "{bits: 6, group_size: 4}");
  const auto weight = vector_weight().to(at::kBFloat16);

  const auto layer = affine->attach(site_of(2, 8), {weight, {}, {}});

  const double error = (layer->weight() - weight.to(at::kFloat)).square().sum().item<double>();
  EXPECT_LT(error, 0.0012);
}

TEST(Affine, AgreesWithThePlainLoopsOnRandomWeights) {
  for (const bool is_symmetric : {false, true})
    for (int bits = 2; bits <= 8; ++bits) {
      SCOPED_TRACE(std::to_string(bits) + (is_symmetric ? " symmetric" : ""));
      const affine::Settings settings{.bits = bits, .is_symmetric = is_symmetric};
      const auto w_RGK = gaussian({6, 5, 32}, /*seed=*/static_cast<uint64_t>(bits)) * 0.05;

      const auto fast = affine::quantize(w_RGK, settings);

      for (int64_t r = 0; r < 6; ++r)
        for (int64_t g = 0; g < 5; ++g) {
          const auto group = w_RGK[r][g].contiguous();
          std::vector<int> codes(32);
          const auto reference =
              affine::quantize_group_ref({group.const_data_ptr<float>(), 32}, settings, codes);
          EXPECT_EQ(fast.scales_RG1[r][g].item<float>(), reference.scale);
          if (!is_symmetric) EXPECT_EQ(fast.zeros_RG1[r][g].item<int>(), reference.zero);
          EXPECT_TRUE(at::equal(fast.codes_RGK[r][g].to(at::kInt), at::tensor(codes, at::kInt)));
        }
    }
}

TEST(Affine, ErrorStaysWithinHalfAStepWhereNothingIsClipped) {
  const auto affine = make<WeightOnlyQuantizer>("affine", "{bits: 4, group_size: 32}");
  const auto w_OI = gaussian({16, 128}, /*seed=*/5);

  const auto q = affine->quantize(w_OI);

  // The zero point is rounded too, which can clip an end of the range by half a step more.
  const auto step = q.scales.unsqueeze(-1).expand({16, 4, 32}).flatten(1);
  EXPECT_TRUE(((affine->dequantize(q) - w_OI).abs() <= step * 1.001).all().item<bool>());
  EXPECT_GT(((affine->dequantize(q) - w_OI).abs() <= 0.5001 * step).to(at::kFloat).mean().item<double>(), 0.97);
}

TEST(Affine, LeastSquaresRangeNeverHasMoreErrorThanTheWholeRange) {
  const auto w_OI = gaussian({32, 256}, /*seed=*/6);
  for (const int bits : {2, 3, 4}) {
    const std::string common = "{group_size: 64, bits: " + std::to_string(bits) + ", scale_rule: ";
    const auto whole = make<WeightOnlyQuantizer>("affine", common + "minmax}");
    const auto least = make<WeightOnlyQuantizer>("affine", common + "mse}");
    const auto error_of = [&](const auto& quantizer) {
      return (quantizer->dequantize(quantizer->quantize(w_OI)) - w_OI).square().unflatten(1, {4, 64}).sum(-1);
    };

    const auto error_whole = error_of(whole), error_least = error_of(least);

    EXPECT_TRUE((error_least <= error_whole * 1.00001).all().item<bool>()) << bits;
    EXPECT_LT(error_least.sum().item<double>(), 0.95 * error_whole.sum().item<double>()) << bits;
  }
}

TEST(Affine, CodesAreChosenForTheStoredScale) {
  const auto affine = make<WeightOnlyQuantizer>("affine", "{bits: 8, group_size: 64, scale_dtype: f16}");
  const auto w_OI = gaussian({8, 64}, /*seed=*/7);

  const auto q = affine->quantize(w_OI);

  EXPECT_EQ(q.scales.scalar_type(), at::kHalf);
  const auto step = q.scales.to(at::kFloat);
  EXPECT_LT(((affine->dequantize(q) - w_OI).abs() / step).max().item<double>(), 1.01);
}

TEST(Affine, StoredSizeIsCodesScalesAndZeroPointsAtTheirWidth) {
  const auto bits_of = [](const std::string& options) {
    return make<Quantizer>("affine", options)->storage_bits(site_of(16, 256));
  };
  const int64_t weights = 16 * 256, groups = weights / 64;

  EXPECT_EQ(bits_of("{bits: 3, group_size: 64}"), 3 * weights + 32 * groups + 16 * 16);  // 4 zeros of 3 bits: 2 bytes a row
  EXPECT_EQ(bits_of("{bits: 4, group_size: 64, scale_dtype: f16}"), 4 * weights + 16 * groups + 4 * groups);
  EXPECT_EQ(bits_of("{bits: 4, group_size: 64, symmetric: true}"), 4 * weights + 32 * groups);
  EXPECT_EQ(bits_of("{bits: 8, group_size: -1}"), 8 * weights + (32 + 8) * 16);
  EXPECT_EQ(bits_of("{bits: 8, group_size: 0}"), 8 * weights + 32 + 8);
}

TEST(Affine, GridGivesTheSameWeightForEveryGranularity) {
  for (const char* group : {"64", "-1", "0"})
    for (const char* symmetric : {"true", "false"}) {
      const auto affine = make<WeightOnlyQuantizer>(
          "affine", std::string("{bits: 4, group_size: ") + group + ", symmetric: " + symmetric + "}");
      const auto q = affine->quantize(gaussian({8, 128}, /*seed=*/8));

      const auto grid = affine->grid(q);

      ASSERT_TRUE(grid);
      const auto weight = ((grid->codes.unflatten(1, {-1, grid->group_size}) - grid->zeros.unsqueeze(-1)).to(at::kFloat) *
                           grid->scales.unsqueeze(-1))
                              .flatten(1);
      EXPECT_TRUE(at::equal(weight, affine->dequantize(q))) << group << " " << symmetric;
    }
}

TEST(Affine, NamesTheLayerWhoseColumnsAGroupDoesNotDivide) {
  const auto affine = make<Quantizer>("affine", "{group_size: 128}");

  try {
    affine->storage_bits(site_of(8, 576));
    FAIL() << "expected a ConfigError";
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(), "group_size 128 does not divide the 576 columns of model.layers.0.mlp.up_proj");
    EXPECT_EQ(error.remedy(), "try 32, 64, 96, 192");
  }
}

TEST(Affine, RefusesWeightsThatAreNotFinite) {
  const auto affine = make<Quantizer>("affine", "{group_size: 32}");
  auto weight = gaussian({4, 32}, /*seed=*/9);
  weight[1][3] = std::nan("");

  EXPECT_THROW(affine->attach(site_of(4, 32), {weight, {}, {}}), DataError);
}

TEST(Affine, RejectsOptionsOutsideTheirRange) {
  EXPECT_CONFIG_ERROR("affine", "{bits: 9}", "bits");
  EXPECT_CONFIG_ERROR("affine", "{bits: 1}", "bits");
  EXPECT_CONFIG_ERROR("affine", "{group_size: -2}", "group_size");
  EXPECT_CONFIG_ERROR("affine", "{scale_dtype: f64}", "scale_dtype");
}

}  // namespace
}  // namespace qtk
