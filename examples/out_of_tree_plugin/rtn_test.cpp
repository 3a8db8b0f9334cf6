#include <qtk/testing/quantizer_contract.hpp>

QTK_INSTANTIATE_CONTRACT(QuantizerContract, "rtn");

namespace {

using qtk::testing::gaussian;
using qtk::testing::make;

TEST(Rtn, FourBitErrorIsWithinHalfAStep) {
  const auto rtn = make<qtk::WeightOnlyQuantizer>("rtn", "{bits: 4, group_size: 32}");
  const auto w_OI = gaussian({8, 64}, /*seed=*/1);

  const auto q = rtn->quantize(w_OI);

  const auto step_OI = q.scales.expand({8, 2, 32}).flatten(1);
  EXPECT_TRUE(((rtn->dequantize(q) - w_OI).abs() <= 0.5 * step_OI + 1e-6).all().item<bool>());
}

TEST(Rtn, ZeroPointSpendsTheWholeGridOnOneSidedWeights) {
  const auto w_OI = gaussian({8, 64}, /*seed=*/2).abs();
  const auto error = [&](const char* options) {
    const auto rtn = make<qtk::WeightOnlyQuantizer>("rtn", options);
    return (rtn->dequantize(rtn->quantize(w_OI)) - w_OI).square().mean().item<double>();
  };

  EXPECT_LT(error("{group_size: 64, symmetric: false}"),
            0.5 * error("{group_size: 64, symmetric: true}"));
}

TEST(Rtn, MseRuleNeverLosesToAbsmax) {
  const auto w_OI = gaussian({8, 128}, /*seed=*/3);
  const auto error_OG = [&](const char* options) {
    const auto rtn = make<qtk::WeightOnlyQuantizer>("rtn", options);
    return (rtn->dequantize(rtn->quantize(w_OI)) - w_OI).unflatten(1, {-1, 32}).square().sum(-1);
  };

  const auto mse = error_OG("{bits: 3, group_size: 32, scale_rule: mse}");
  const auto absmax = error_OG("{bits: 3, group_size: 32, scale_rule: absmax}");

  EXPECT_TRUE((mse <= absmax).all().item<bool>());
  EXPECT_LT(mse.sum().item<double>(), 0.95 * absmax.sum().item<double>());
}

TEST(Rtn, BitsOutsideRangeAreRefused) {
  EXPECT_CONFIG_ERROR("rtn", "{bits: 9}", "is outside [2, 8]");
}

TEST(Rtn, GroupSizeThatDoesNotDivideALayerIsRefused) {
  const auto rtn = make<qtk::Quantizer>("rtn");
  const qtk::LinearSite site{
      .name = "model.layers.0.mlp.up_proj", .out_features = 4, .in_features = 96};

  EXPECT_THROW(rtn->storage_bits(site), qtk::ConfigError);
}

}  // namespace
