// The affine quantizer's CUDA kernel against its CPU loop, for every stored width.
#include "base/device.hpp"

#include <qtk/testing/plugin_under_test.hpp>
#include <qtk/weight_only.hpp>

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

namespace qtk {
namespace {

TEST(AffineOnGpu, DecodesTheSameWeightBitForBit) {
  if (!cuda_is_available()) GTEST_SKIP() << "no CUDA device answers";
  const auto device = open_device("cuda");
  const auto weight = testing::gaussian({96, 512}, /*seed=*/1);
  for (const char* bits : {"2", "3", "4", "8"})
    for (const char* group : {"64", "-1", "0"})
      for (const char* symmetric : {"true", "false"})
        for (const char* scale : {"f32", "f16", "bf16"}) {
          const std::string options = std::string("{bits: ") + bits + ", group_size: " + group +
                                      ", symmetric: " + symmetric + ", scale_dtype: " + scale + "}";
          const auto affine = testing::make<WeightOnlyQuantizer>("affine", options);
          const auto q = affine->quantize(weight);
          const Quantized on_gpu{q.codes.to(device), q.scales.to(device),
                                 q.zeros.defined() ? q.zeros.to(device) : q.zeros, q.bits};

          EXPECT_TRUE(at::equal(affine->dequantize(on_gpu).cpu(), affine->dequantize(q)))
              << options;
        }
}

TEST(AffineOnGpu, QuantizesToTheSameCodes) {
  if (!cuda_is_available()) GTEST_SKIP() << "no CUDA device answers";
  const auto device = open_device("cuda");
  const auto weight = testing::gaussian({96, 512}, /*seed=*/2);
  const auto affine = testing::make<WeightOnlyQuantizer>("affine", "{bits: 4, group_size: 64}");

  const auto found = affine->quantize(weight.to(device)).codes.cpu();

  // The two devices divide by the scale with different roundings; a code on a boundary may move by
  // one.
  const auto difference = (found.to(at::kInt) - affine->quantize(weight).codes.to(at::kInt)).abs();
  EXPECT_LE(difference.max().item<int>(), 1);
  EXPECT_LT(difference.to(at::kFloat).mean().item<double>(), 1e-3);
}

TEST(AffineOnGpu, APackedLayerMultipliesOnTheInputsDevice) {
  if (!cuda_is_available()) GTEST_SKIP() << "no CUDA device answers";
  const c10::InferenceMode inference;
  const auto device = open_device("cuda");
  const LinearSite site{.name = "layer", .out_features = 64, .in_features = 128};
  const auto affine = testing::make<Quantizer>("affine", "{bits: 4, group_size: 64}");
  const auto packed =
      affine->attach(site, {testing::gaussian({64, 128}, /*seed=*/3), {}, {}})->pack();
  const auto layer = affine->unpack(site, packed, at::Tensor());
  const auto x = testing::gaussian({32, 128}, /*seed=*/4);
  const auto expected = layer->forward(x);

  const auto found = layer->forward(x.to(device)).cpu();

  EXPECT_LT(((found - expected).norm() / expected.norm()).item<double>(), 1e-3);
}

}  // namespace
}  // namespace qtk
