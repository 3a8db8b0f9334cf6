#include "../../../plugins/quantizers/fairy2i/fairy2i_codec.hpp"

#include <qtk/testing/config_error.hpp>
#include <qtk/testing/plugin_under_test.hpp>
#include <qtk/testing/quantizer_contract.hpp>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

QTK_INSTANTIATE_CONTRACT(QuantizerContract,
                         {.id = "fairy2i", .knobs = {{"temperature", 0.3}, {"pressure", 0.7}}});
QTK_INSTANTIATE_CONTRACT(QuantizerContract, {.id = "fairy2i",
                                             .options = "{stages: 4}",
                                             .tested_elsewhere = {{"compat", "soft forms only"}},
                                             .out_features = 6,
                                             .in_features = 10});

namespace qtk {
namespace {

using testing::gaussian;
using testing::make;

const LinearSite kSite{.name = "layer", .out_features = 4, .in_features = 4};

at::Tensor vector_weight() {
  return at::tensor({.31, -.72, .05, 1.24, -.18, .66, -1.5, .09, -.02, .47, -.88, .13, 2.1, -.35,
                     .01, -.6},
                    at::kDouble)
      .reshape({4, 4});
}

void expect_close(const at::Tensor& found, const std::vector<double>& expected,
                  double tolerance = 1e-8) {
  const at::Tensor target = at::tensor(expected, at::kDouble).reshape(found.sizes());
  EXPECT_LT((found.to(at::kDouble) - target).abs().max().item<double>(), tolerance) << found;
}

TEST(Fairy2i, SplitsAsPublishedAndJoinsBack) {
  const auto parts = fairy2i::split(vector_weight());

  expect_close(parts.u.re, {-.285, -.295, -.085, .03}, 1e-12);
  expect_close(parts.u.im, {-.035, -.385, 1.8, -.22}, 1e-12);
  expect_close(parts.v.re, {.595, -.425, -.095, .63}, 1e-12);
  expect_close(parts.v.im, {.015, .855, .3, -.13}, 1e-12);
  EXPECT_TRUE(at::allclose(fairy2i::join(parts), vector_weight(), 0, 1e-12));
}

TEST(Fairy2i, HardCodesAndScalesAreThePublishedOnes) {
  const auto coded = fairy2i::Fairy2iCodec(2).encode(kSite, vector_weight());

  EXPECT_TRUE(at::equal(coded.codes.flatten(),
                        at::tensor({2, 3, 1, 3, 0, 1, 1, 0, 3, 1, 1, 1, 2, 2, 3, 3}, at::kByte)));
  expect_close(coded.scales, {.285, .801666667, .6125, .5775, 1e-6, .507916667, .22125, .20375},
               1e-8);
}

TEST(Fairy2i, ABoundaryBelongsToTheSectorThatBeginsThere) {
  const at::Tensor re = at::tensor({1., 1., -1., -1., 0.}), im = at::tensor({-1., 1., 1., -1., 0.});

  EXPECT_TRUE(at::equal(fairy2i::sectors({re, im}), at::tensor({0, 1, 2, 3, 0}, at::kByte)));
}

const std::vector<double> kHardOne = {.3275,       0,           0, 1.379166667, 0,      .6125,
                                      -.224166667, .801666667,  0, -.224166667, -.8975, 0,
                                      1.379166667, -.801666667, 0, -.6125};
const std::vector<double> kHardTwo = {.10625,      -.22125, .507916667,  .87125, 0,       .6125,
                                      -.935833333, .09,     -.507916667, .28375, -.67625, .22125,
                                      1.683333333, -.4975,  0,           -.6125};

TEST(Fairy2i, HardWeightsAreThePublishedOnes) {
  for (const auto& [stages, expected] : {std::pair{1, kHardOne}, {2, kHardTwo}}) {
    const fairy2i::Fairy2iCodec codec(stages);
    // Entries printed as 0 may be +-1e-6, the scale of an empty sector.
    expect_close(codec.decode(kSite, codec.encode(kSite, vector_weight())), expected, 1.0001e-6);
    const auto plugin = make<Quantizer>("fairy2i", "{stages: " + std::to_string(stages) + "}");
    expect_close(plugin->attach(kSite, {.weight = vector_weight().to(at::kFloat)})->weight(),
                 expected, 3e-6);
  }
}

TEST(Fairy2i, SoftWeightsAreThePublishedOnes) {
  const auto expect_soft = [](int stages, bool is_v0, const std::vector<double>& expected) {
    const double temperature = is_v0 ? .5 : .3;
    const fairy2i::SoftForm form{.stages = stages,
                                 .temperature = temperature + (is_v0 ? 1e-6 : 0),
                                 .has_scale_gradient = is_v0};
    expect_close(fairy2i::soft_weight(vector_weight(), form), expected);
    expect_close(fairy2i::soft_weight(vector_weight().to(at::kFloat), form), expected, 2e-6);

    const auto plugin =
        make<Quantizer>("fairy2i", "{stages: " + std::to_string(stages) +
                                       ", compat: " + (is_v0 ? "v0" : "none") + "}");
    const auto layer = plugin->attach(kSite, {.weight = vector_weight()});
    Knobs knobs;
    knobs.set("temperature", temperature);
    dynamic_cast<TrainableLinear&>(*layer).set(knobs);
    expect_close(layer->forward(at::eye(4, at::kDouble)).t(), expected);
  };
  expect_soft(1, true,
              {0.323976167, -0.157169337, 0.010870872, 1.068297926, -0.029406479, 0.599765618,
               -0.240035220, 0.772620018, -0.008266792, -0.046992104, -0.883438246, -0.016233009,
               1.339571224, -0.799395820, 0.026976380, -0.592062524});
  expect_soft(2, true,
              {0.247759648, -0.476353398, 0.631381735, 0.937938258, -0.043218405, 0.614804358,
               -0.887303863, 0.125291248, -0.426477649, 0.204250616, -0.816935316, 0.035298256,
               1.742859775, -0.394740048, 0.037582917, -0.605364673});
  expect_soft(1, false,
              {0.327455939, -0.077276633, 0.000794430, 1.199002665, -0.004118040, 0.611398159,
               -0.227504862, 0.799445620, -0.000629240, -0.081527478, -0.896864933, -0.037482658,
               1.374862734, -0.802009901, 0.003960968, -0.610804386});
  expect_soft(2, false,
              {0.184934099, -0.253301654, 0.533199304, 0.955551192, -0.005732688, 0.611645938,
               -0.894079561, 0.131519411, -0.402270351, 0.228834533, -0.754343094, 0.138541549,
               1.642125433, -0.535961450, 0.005575615, -0.611052165});
}

struct Trained {
  std::shared_ptr<Quantizer> quantizer;
  std::unique_ptr<QuantizedLinear> layer;
  at::Tensor gradient;
};

Trained trained(const std::string& options, double temperature, double pressure,
                const at::Tensor& upstream) {
  Trained result{make<Quantizer>("fairy2i", options), nullptr, {}};
  result.layer = result.quantizer->attach(kSite, {.weight = vector_weight()});
  auto& form = dynamic_cast<TrainableLinear&>(*result.layer);
  Knobs knobs;
  knobs.set("temperature", temperature);
  knobs.set("pressure", pressure);
  form.set(knobs);
  form.forward(at::eye(4, at::kDouble)).backward(upstream.t());
  result.gradient = form.trainable().front().leaf.grad();
  return result;
}

TEST(Fairy2i, HardGradientsPassStraightThrough) {
  const at::Tensor upstream = gaussian({4, 4}, 1).to(at::kDouble);
  for (const double pressure : {0., .5, 1.})
    EXPECT_TRUE(at::allclose(trained("{}", 0, pressure, upstream).gradient, upstream, 0, 1e-12));
}

TEST(Fairy2i, SoftGradientsAreTheDifferencesOfTheFunction) {
  constexpr double kStep = 1e-6, kPressure = 0.6;
  const at::Tensor upstream = gaussian({4, 4}, 2).to(at::kDouble);
  const fairy2i::SoftForm form{.stages = 2, .temperature = .5 + 1e-6, .has_scale_gradient = true};
  const auto objective = [&](const at::Tensor& w) {
    const at::Tensor value = w + kPressure * (fairy2i::soft_weight(w, form) - w);
    return (value * upstream).sum().item<double>();
  };

  const at::Tensor gradient = trained("{stages: 2, compat: v0}", .5, kPressure, upstream).gradient;

  for (int64_t i = 0; i < 16; ++i) {
    const at::Tensor up = vector_weight(), down = vector_weight();
    up.view({-1})[i] += kStep, down.view({-1})[i] -= kStep;
    EXPECT_NEAR(gradient.view({-1})[i].item<double>(),
                (objective(up) - objective(down)) / (2 * kStep), 1e-6)
        << i;
  }
}

TEST(Fairy2i, AZeroWeightHasAFiniteGradient) {
  const auto quantizer = make<Quantizer>("fairy2i");
  const auto layer = quantizer->attach(kSite, {.weight = at::zeros({4, 4})});
  auto& form = dynamic_cast<TrainableLinear&>(*layer);
  Knobs knobs;
  knobs.set("temperature", 0.3);
  form.set(knobs);

  form.forward(at::eye(4)).sum().backward();

  EXPECT_TRUE(form.trainable().front().leaf.grad().isfinite().all().item<bool>());
}

TEST(Fairy2i, StoresOneBitPerWeightAndStage) {
  const LinearSite site{.name = "layer", .out_features = 64, .in_features = 64};
  for (int stages = 1; stages <= 4; ++stages)
    EXPECT_EQ(
        make<Quantizer>("fairy2i", "{stages: " + std::to_string(stages) + "}")->storage_bits(site),
        stages * (64 * 64 + 4 * 32));
}

TEST(Fairy2i, RefusesOddSizesAndTooManyStages) {
  EXPECT_THROW(make<Quantizer>("fairy2i")->storage_bits(
                   {.name = "odd", .out_features = 5, .in_features = 4}),
               ConfigError);
  EXPECT_CONFIG_ERROR("fairy2i", "{stages: 5}", "stages");
}

}  // namespace
}  // namespace qtk
