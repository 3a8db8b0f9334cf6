#include "../../../plugins/quantizers/ste/ste_codec.hpp"

#include <qtk/testing/plugin_under_test.hpp>
#include <qtk/testing/quantizer_contract.hpp>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

QTK_INSTANTIATE_CONTRACT(QuantizerContract, "ste");
QTK_INSTANTIATE_CONTRACT(QuantizerContract,
                         {.id = "ste", .options = "{scheme: w4_asym, group_size: 32}"});

namespace qtk {
namespace {

using testing::gaussian;
using testing::make;

at::Tensor vector_weight() {
  return at::tensor({0.31, -0.72, 0.05, 1.24, -0.18, 0.66, -1.50, 0.09,  //
                     -0.02, 0.47, -0.88, 0.13, 2.10, -0.35, 0.01, -0.60},
                    at::kDouble)
      .reshape({2, 8});
}

/// In fp64 by way of codes and scales, and in fp32 through the plugin's layer.
void expect_weight(const std::string& scheme, int64_t group_size, const at::Tensor& w_OI,
                   const std::vector<double>& expected) {
  SCOPED_TRACE(scheme + " " + std::to_string(group_size));
  const LinearSite site{.name = "layer", .out_features = w_OI.size(0), .in_features = w_OI.size(1)};
  const at::Tensor target = at::tensor(expected, at::kDouble).reshape(w_OI.sizes());
  const ste::SteCodec codec(ste::scheme_of(scheme), group_size, at::kFloat);
  const auto found = codec.decode(site, codec.encode(site, w_OI));
  EXPECT_LT((found - target).abs().max().item<double>(), 1e-8) << found;

  const auto plugin = make<Quantizer>(
      "ste", "{scheme: " + scheme + ", group_size: " + std::to_string(group_size) + "}");
  const auto weight = plugin->attach(site, {.weight = w_OI.to(at::kFloat)})->weight();
  EXPECT_LT((weight - target).abs().max().item<double>(), 2e-6);
}

TEST(Ste, BitwidthWeightsAreThePublishedOnes) {
  const at::Tensor w = vector_weight();
  expect_weight("w2_sym", 0, w, {0, 0, 0, 2.1, 0, 0, -2.1, 0, 0, 0, 0, 0, 2.1, 0, 0, 0});
  expect_weight("w2_sym", 4, w, {0, -1.24, 0, 1.24, 0, 0, -1.5, 0, 0, .88, -.88, 0, 2.1, 0, 0, 0});
  expect_weight("w2_asym", 0, w,
                {0, -1.2, 0, 1.2, 0, 1.2, -1.2, 0, 0, 0, -1.2, 0, 2.4, 0, 0, -1.2});
  expect_weight("w2_asym", 4, w,
                {0, -.653333333, 0, 1.306666667, 0, .72, -1.44, 0, 0, .45, -.9, 0, 1.8, 0, 0, -.9});
  expect_weight("w4_sym", 4, w,
                {.354285714, -.708571429, 0, 1.24, -.214285714, .642857143, -1.5, 0, 0, .502857143,
                 -.88, .125714286, 2.1, -.3, 0, -.6});
  expect_weight("w4_asym", 4, w,
                {.261333333, -.784, 0, 1.176, -.144, .72, -1.44, .144, 0, .45, -.9, .09, 2.16, -.36,
                 0, -.54});
}

TEST(Ste, TernaryWeightsAreThePublishedOnes) {
  expect_weight("ternary", 0, vector_weight(),
                {.581875, -.581875, 0, .581875, 0, .581875, -.581875, 0, 0, .581875, -.581875, 0,
                 .581875, -.581875, 0, -.581875});
}

TEST(Ste, AGroupOfPositiveWeightsKeepsItsRange) {
  expect_weight("w2_asym", 4, at::tensor({1., 1.2, 1.5, 2.}, at::kDouble).reshape({1, 4}),
                {1, 4. / 3, 5. / 3, 2});
}

TEST(Ste, NearlyEqualWeightsFarFromZeroStayInPlace) {
  const auto w = at::full({1, 64}, 1000, at::kFloat) + gaussian({1, 64}, 1) * 1e-4;
  const LinearSite site{.name = "layer", .out_features = 1, .in_features = 64};
  for (const char* scheme : {"w2_asym", "w4_asym"}) {
    const auto plugin =
        make<Quantizer>("ste", std::string("{group_size: 64, scheme: ") + scheme + "}");
    const auto weight = plugin->attach(site, {.weight = w})->weight();
    EXPECT_LT((weight - w).abs().max().item<double>(), 0.05) << scheme;
  }
}

TEST(Ste, GradientPassesStraightThroughInEveryScheme) {
  const LinearSite site{.name = "layer", .out_features = 8, .in_features = 64};
  const at::Tensor upstream = gaussian({64, 8}, 2);
  for (const char* scheme : {"ternary", "w2_sym", "w2_asym", "w4_sym", "w4_asym"}) {
    const auto plugin =
        make<Quantizer>("ste", std::string("{group_size: 32, scheme: ") + scheme + "}");
    const auto layer = plugin->attach(site, {.weight = gaussian({8, 64}, 3)});
    auto& form = dynamic_cast<TrainableLinear&>(*layer);

    form.forward(at::eye(64)).backward(upstream);

    EXPECT_TRUE(at::allclose(form.trainable().front().leaf.grad(), upstream.t(), 1e-6, 1e-6))
        << scheme;
  }
}

TEST(Ste, GridGivesTheWeightBitForBit) {
  const LinearSite site{.name = "layer", .out_features = 8, .in_features = 64};
  for (const char* scheme : {"ternary", "w2_sym", "w2_asym", "w4_sym", "w4_asym"})
    for (const char* group : {"0", "-1", "32"}) {
      const auto plugin = make<Quantizer>(
          "ste", std::string("{group_size: ") + group + ", scheme: " + scheme + "}");
      const auto layer = plugin->attach(site, {.weight = gaussian({8, 64}, 4) + 0.5});

      const auto grid = layer->grid();

      ASSERT_TRUE(grid);
      const auto weight =
          ((grid->codes.unflatten(1, {-1, grid->group_size}) - grid->zeros.unsqueeze(-1))
               .to(at::kFloat) *
           grid->scales.unsqueeze(-1))
              .flatten(1);
      EXPECT_TRUE(at::equal(weight, layer->weight())) << scheme << " " << group;
    }
}

TEST(Ste, StoresCodesAtTheirWidth) {
  const LinearSite site{.name = "layer", .out_features = 8, .in_features = 320};
  const auto bits = [&](const std::string& options) {
    return make<Quantizer>("ste", options)->storage_bits(site);
  };
  EXPECT_EQ(bits("{scheme: ternary, group_size: 0}"), 8 * 320 / 5 * 8 + 32);
  EXPECT_EQ(bits("{scheme: w2_sym, group_size: 64, scale_dtype: f16}"), 8 * (320 * 2 + 5 * 16));
  EXPECT_EQ(bits("{scheme: w4_asym, group_size: 64}"), 8 * (320 * 4 + 5 * (32 + 16)));
}

}  // namespace
}  // namespace qtk
