#include <qtk/testing/config_error.hpp>
#include <qtk/testing/memory_state.hpp>
#include <qtk/testing/plugin_under_test.hpp>
#include <qtk/testing/quantizer_contract.hpp>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>
#include <vector>

namespace qtk::testing {
const std::map<std::string, std::string> kElsewhere = {
    {"codebook", "Hestia.CodebooksArePackedAtTheirWidth"},
    {"metrics_every", "Hestia.MeasuresCodesInTheStepsAskedFor"}};
}  // namespace qtk::testing

QTK_INSTANTIATE_CONTRACT(QuantizerContract, {.id = "hestia",
                                             .tested_elsewhere = kElsewhere,
                                             .knobs = {{"temperature", 0.3}, {"pressure", 0.7}}});
QTK_INSTANTIATE_CONTRACT(QuantizerContract, {.id = "hestia",
                                             .options = "{codebook: int2, group_size: -1}",
                                             .tested_elsewhere = {{"codebook", ""},
                                                                  {"metrics_every", ""},
                                                                  {"compat", "ternary only"}},
                                             .in_features = 65});
QTK_INSTANTIATE_CONTRACT(QuantizerContract, {.id = "hestia",
                                             .options = "{codebook: binary, group_size: 0}",
                                             .tested_elsewhere = {{"codebook", ""},
                                                                  {"metrics_every", ""},
                                                                  {"compat", "ternary only"}},
                                             .knobs = {{"temperature", 0.0}}});

namespace qtk {
namespace {

using testing::gaussian;
using testing::make;

LinearSite site_of(int64_t out, int64_t in) {
  return {.name = "model.layers.0.mlp.up_proj", .out_features = out, .in_features = in};
}

struct Layer {
  std::shared_ptr<Quantizer> quantizer;
  std::unique_ptr<QuantizedLinear> layer;

  TrainableLinear& operator*() const { return dynamic_cast<TrainableLinear&>(*layer); }
  TrainableLinear* operator->() const { return &**this; }
  at::Tensor latent() const { return (*this)->trainable().front().leaf; }
};

Layer attach(const std::string& options, const at::Tensor& weight, const at::Tensor& bias = {}) {
  auto quantizer = make<Quantizer>("hestia", options);
  auto layer = quantizer->attach(site_of(weight.size(0), weight.size(1)),
                                 {.weight = weight.clone(), .bias = bias});
  return {quantizer, std::move(layer)};
}

Knobs knobs_of(double temperature, double pressure = 1) {
  Knobs knobs;
  knobs.set("temperature", temperature);
  knobs.set("pressure", pressure);
  return knobs;
}

/// The layer's weight as its forward() multiplies by it.
at::Tensor multiplied_by(TrainableLinear& layer, int64_t in) {
  return layer.forward(at::eye(in)).t();
}

TEST(Hestia, CodebooksArePackedAtTheirWidth) {
  const at::Tensor weight = gaussian({6, 64}, 1);
  const auto bytes = [&](const std::string& codebook) {
    const auto layer = attach("{codebook: '" + codebook + "', group_size: 64}", weight);
    const auto packed = layer->pack();
    EXPECT_EQ(packed.tensors.at("scales").numel(), 6);
    EXPECT_EQ(layer.quantizer->storage_bits(site_of(6, 64)), packed.storage_bits());
    return packed.tensors.at("codes").numel() / 6;
  };

  EXPECT_EQ(bytes("binary"), 8);    // 1 bit
  EXPECT_EQ(bytes("ternary"), 13);  // five a byte
  EXPECT_EQ(bytes("int2"), 16);     // 2 bits
  EXPECT_EQ(bytes("-1.5, 0, 0.5, 1, 2"), 24);
  EXPECT_EQ(bytes("2, -1, 2, 0"), 13);  // sorted, equal ones once
}

TEST(Hestia, TernaryWithGroupsOf64NeedsTwoPointOneBits) {
  const auto hestia = make<Quantizer>("hestia", "{group_size: 64, scale_dtype: f16}");

  const double bits = static_cast<double>(hestia->storage_bits(site_of(64, 640))) / (64 * 640);

  EXPECT_DOUBLE_EQ(bits, 1.6 + 16.0 / 64);
}

TEST(Hestia, WeightLiesOnTheGridExactly) {
  for (const char* codebook : {"binary", "ternary", "int2"})
    for (const char* group : {"0", "-1", "16"})
      for (const char* dtype : {"f32", "f16"}) {
        const auto layer = attach(std::string("{codebook: ") + codebook + ", group_size: " + group +
                                      ", scale_dtype: " + dtype + "}",
                                  gaussian({8, 64}, 2));

        const auto grid = layer->grid();

        ASSERT_TRUE(grid);
        EXPECT_TRUE(grid->is_signed);
        EXPECT_EQ(grid->bits, 2);
        const auto weight = (grid->codes.unflatten(1, {-1, grid->group_size}).to(at::kFloat) *
                             grid->scales.unsqueeze(-1))
                                .flatten(1);
        EXPECT_TRUE(at::equal(weight, layer->weight())) << codebook << " " << group;
      }
  EXPECT_FALSE(attach("{codebook: '-1, 0.5', group_size: 16}", gaussian({8, 64}, 2))->grid());
}

TEST(Hestia, WithoutKnobsItMultipliesByTheDeployedWeight) {
  const auto layer = attach("{group_size: 16, scale_dtype: f16}", gaussian({8, 64}, 3));
  EXPECT_TRUE(at::equal(multiplied_by(*layer, 64), layer->weight()));

  layer->set(knobs_of(0.3, 0.5));
  EXPECT_FALSE(at::allclose(multiplied_by(*layer, 64), layer->weight(), 0, 1e-3));

  layer->set(Knobs());
  EXPECT_TRUE(at::equal(multiplied_by(*layer, 64), layer->weight()));
}

TEST(Hestia, PressureZeroMultipliesByTheLatentWeight) {
  const at::Tensor weight = gaussian({8, 64}, 4);
  const auto layer = attach("{group_size: 16}", weight);

  layer->set(knobs_of(0.3, 0));

  EXPECT_TRUE(at::equal(multiplied_by(*layer, 64), weight));
}

TEST(Hestia, TheBiasIsKeptInEveryForm) {
  const at::Tensor bias = gaussian({8}, 5), x = at::zeros({2, 64});
  const auto layer = attach("{group_size: 16}", gaussian({8, 64}, 4), bias);
  for (const double temperature : {0., .3})
    for (const double pressure : {0., .5, 1.}) {
      layer->set(knobs_of(temperature, pressure));
      EXPECT_TRUE(at::equal(layer->forward(x)[1], bias));
    }
}

TEST(Hestia, AWeightInDoublePrecisionGivesThePublishedNumbersThroughTheLayer) {
  const at::Tensor weight = at::tensor({0.31, -0.72, 0.05, 1.24, -0.18, 0.66, -1.50, 0.09,  //
                                        -0.02, 0.47, -0.88, 0.13, 2.10, -0.35, 0.01, -0.60},
                                       at::kDouble)
                                .reshape({2, 8});
  const at::Tensor i = at::arange(16, at::kDouble);
  const at::Tensor upstream = (0.1 * (i + 1) * (1 - 2 * i.remainder(2))).reshape({2, 8});
  const auto layer = attach("{group_size: 4}", weight);
  layer->set(knobs_of(0.3, 0.5));

  const at::Tensor y = layer->forward(at::eye(8, at::kDouble));
  y.backward(upstream.t());

  const at::Tensor expected =
      at::tensor({0.132567382, -0.104691329, 0.225432561, -0.200024140, 0.529569921, -0.338549683,
                  0.350004644, -0.647491011, 0.659911427, -0.521685043, 0.550016512, -1.392849620,
                  0.650001370, -1.851645015, 1.083994186, -1.406154152},
                 at::kDouble)
          .reshape({2, 8});
  EXPECT_LT((layer.latent().grad() - expected).abs().max().item<double>(), 1e-8);
}

TEST(Hestia, MicroBatchesOfAStepAddUpTheirGradients) {
  const at::Tensor x = gaussian({8, 64}, 6);
  const auto whole = attach("{group_size: 16}", gaussian({8, 64}, 7)),
             parts = attach("{group_size: 16}", gaussian({8, 64}, 7));
  whole->set(knobs_of(0.3, 0.5));
  parts->set(knobs_of(0.3, 0.5));

  whole->forward(x).square().sum().backward();
  for (const auto& part : x.chunk(4)) parts->forward(part).square().sum().backward();

  EXPECT_TRUE(at::allclose(parts.latent().grad(), whole.latent().grad(), 1e-4, 1e-4));
}

TEST(Hestia, AChangedLatentWeightIsSeenByTheNextForward) {
  const auto layer = attach("{group_size: 16}", gaussian({8, 64}, 8));
  layer->set(knobs_of(0.3));
  const at::Tensor before = multiplied_by(*layer, 64);
  {
    const at::NoGradGuard no_grad;
    layer.latent().mul_(2);
  }

  EXPECT_TRUE(at::allclose(multiplied_by(*layer, 64), 2 * before, 1e-3, 1e-3));
}

TEST(Hestia, ALatentWeightThatChangesBeforeBackwardIsAnError) {
  const auto layer = attach("{group_size: 16}", gaussian({8, 64}, 8));
  layer->set(knobs_of(0.3));
  const at::Tensor loss = layer->forward(at::eye(64)).sum();
  {
    const at::NoGradGuard no_grad;
    layer.latent().mul_(2);
  }

  EXPECT_THROW(loss.backward(), std::exception);
}

TEST(Hestia, RefusesWhatDoesNotFit) {
  EXPECT_CONFIG_ERROR("hestia", "{codebook: '1'}", "fewer than two");
  EXPECT_CONFIG_ERROR("hestia", "{codebook: '1, x'}", "'x', which is no number");
  EXPECT_CONFIG_ERROR("hestia", "{codebook: '1,'}", "empty number");
  EXPECT_CONFIG_ERROR("hestia", "{compat: v0, codebook: int2}", "compat v0");
  const auto hestia = make<Quantizer>("hestia", "{group_size: 128}");
  try {
    hestia->storage_bits(site_of(8, 576));
    FAIL() << "expected a ConfigError";
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(),
                 "group_size 128 does not divide the 576 columns of model.layers.0.mlp.up_proj");
  }
  at::Tensor weight = gaussian({8, 128}, 1);
  weight[1][1] = std::nan("");
  EXPECT_THROW(hestia->attach(site_of(8, 128), {.weight = weight}), DataError);
  const auto layer = attach("{group_size: 16}", gaussian({8, 64}, 8));
  EXPECT_THROW(layer->set(knobs_of(0.3, 1.5)), Error);
}

TEST(Hestia, DamagedCodesAreRefused) {
  const auto layer = attach("{group_size: 16}", gaussian({8, 64}, 9));
  PackedWeight packed = layer->pack();
  packed.tensors["codes"] = at::full_like(packed.tensors["codes"], 255);

  EXPECT_THROW(layer.quantizer->unpack(site_of(8, 64), packed, {}), DataError);
}

}  // namespace
}  // namespace qtk
