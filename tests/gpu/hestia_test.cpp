// Hestia's CUDA kernels against the loops of the CPU, through the plugin: multiplying the identity
// shows the effective weight, and its gradient that of the latent weight.
#include "base/device.hpp"
#include "poisoned_memory.hpp"

#include <qtk/plugin.hpp>
#include <qtk/testing/plugin_under_test.hpp>

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace qtk {
namespace {

using testing::gaussian;
using testing::PoisonedMemory;

struct HestiaCase {
  std::string codebook;
  int64_t group_size, out, in;
  double temperature, pressure;
};

struct Seen {
  at::Tensor weight, gradient;  // fp32, on the CPU
};

/// One forward and backward of x = 1 in `dtype`.
Seen train_once(const HestiaCase& c, at::Device device, at::ScalarType dtype) {
  const auto hestia = testing::make<Quantizer>(
      "hestia", "{codebook: " + c.codebook + ", group_size: " + std::to_string(c.group_size) + "}");
  const LinearSite site{.name = "layer", .out_features = c.out, .in_features = c.in};
  const auto layer =
      hestia->attach(site, {.weight = (gaussian({c.out, c.in}, 1) * 0.02).to(device)});
  auto& form = dynamic_cast<TrainableLinear&>(*layer);
  Knobs knobs;
  knobs.set("temperature", c.temperature);
  knobs.set("pressure", c.pressure);
  form.set(knobs);
  const at::Tensor one = at::eye(c.in, at::dtype(dtype).device(device));
  // Values that bf16 holds exactly, so that both devices start from the same gradient.
  const at::Tensor upstream = gaussian({c.in, c.out}, 2).to(at::kBFloat16);

  const at::Tensor y = form.forward(one);
  y.backward(upstream.to(device, dtype));

  return {y.detach().t().to(at::kCPU, at::kFloat), form.trainable().front().leaf.grad().cpu()};
}

std::vector<HestiaCase> cases() {
  std::vector<HestiaCase> result;
  for (const char* codebook : {"ternary", "binary", "int2"})
    for (const double temperature : {0.0, 0.05, 0.3, 2.0})
      for (const double pressure : {0.4, 1.0}) {
        for (const int64_t group : {0, -1, 16, 32, 64, 128, 256, 512, 1024, 24, 7})
          result.push_back({codebook, group, group == 24 || group == 7 ? 5 : 6,
                            group == 24  ? 72
                            : group == 7 ? 35
                                         : 1024,
                            temperature, pressure});
        result.push_back({codebook, 0, 37, 65, temperature, pressure});
        result.push_back({codebook, -1, 37, 65, temperature, pressure});
        result.push_back({codebook, 64, 129, 192, temperature, pressure});
        result.push_back({codebook, 0, 300, 640, temperature, pressure});
      }
  return result;
}

/// Share of values that differ by more than `tolerance` plus its relative part.
double differing(const at::Tensor& found, const at::Tensor& expected, double tolerance) {
  return (found - expected)
      .abs()
      .gt(tolerance * (1 + expected.abs()))
      .logical_or(found.isfinite().logical_not())
      .to(at::kFloat)
      .mean()
      .item<double>();
}

void expect_kernels_agree(at::ScalarType dtype) {
  const auto device = open_device("cuda");
  const PoisonedMemory poisoned;
  for (const HestiaCase& c : cases()) {
    SCOPED_TRACE(c.codebook + " group " + std::to_string(c.group_size) + " " +
                 std::to_string(c.out) + "x" + std::to_string(c.in) + " T " +
                 std::to_string(c.temperature) + " p " + std::to_string(c.pressure));
    const Seen expected = train_once(c, at::kCPU, at::kFloat);

    const Seen found = train_once(c, device, dtype);

    // A weight on a threshold may fall on either side. Slopes change by 1 / T^2 per unit of z.
    const double steepness =
        c.temperature > 0 ? 1 / std::min(1.0, c.temperature * c.temperature) : 1;
    const bool is_exact = dtype == at::kFloat;
    EXPECT_LE(differing(found.weight, expected.weight, is_exact ? 1e-6 : 4e-3), 1e-4);
    EXPECT_LE(differing(found.gradient, expected.gradient, 4e-6 * steepness), 1e-4);
  }
}

TEST(HestiaOnGpu, KernelsAgreeWithTheCpuInSinglePrecision) {
  if (!cuda_is_available()) GTEST_SKIP() << "no CUDA device answers";
  const bool allowed = at::globalContext().allowTF32CuBLAS();
  at::globalContext().setAllowTF32CuBLAS(false);
  expect_kernels_agree(at::kFloat);
  at::globalContext().setAllowTF32CuBLAS(allowed);
}

TEST(HestiaOnGpu, KernelsAgreeWithTheCpuInBfloat16) {
  if (!cuda_is_available()) GTEST_SKIP() << "no CUDA device answers";
  expect_kernels_agree(at::kBFloat16);
}

TEST(HestiaOnGpu, TrainedHardFormHasTheValuesOfTheDeployedWeight) {
  if (!cuda_is_available()) GTEST_SKIP() << "no CUDA device answers";
  const auto device = open_device("cuda");
  const PoisonedMemory poisoned;
  for (const char* dtype : {"f32", "f16", "bf16"})
    for (const char* group : {"0", "-1", "64", "1024"}) {
      const auto hestia = testing::make<Quantizer>(
          "hestia", std::string("{group_size: ") + group + ", scale_dtype: " + dtype + "}");
      const LinearSite site{.name = "layer", .out_features = 96, .in_features = 1024};
      const auto layer =
          hestia->attach(site, {.weight = (gaussian({96, 1024}, 3) * 0.02).to(device)});
      auto& form = dynamic_cast<TrainableLinear&>(*layer);
      Knobs knobs;
      knobs.set("temperature", 0.0);
      form.set(knobs);
      const at::Tensor one = at::eye(1024, at::dtype(at::kBFloat16).device(device));
      const at::Tensor deployed = layer->weight().to(at::kBFloat16);

      const at::Tensor trained = form.forward(one).detach().t();  // by the fused kernel
      const at::NoGradGuard no_grad;
      form.set(Knobs());
      const at::Tensor evaluated = form.forward(one).t();

      EXPECT_TRUE(at::equal(trained, deployed)) << dtype << " " << group;
      EXPECT_TRUE(at::equal(evaluated, deployed)) << dtype << " " << group;
      EXPECT_TRUE(
          at::equal(hestia->unpack(site, layer->pack(), {})->weight(), layer->weight().cpu()));
    }
}

TEST(HestiaOnGpu, OtherQuantizersTrainThere) {
  if (!cuda_is_available()) GTEST_SKIP() << "no CUDA device answers";
  const auto device = open_device("cuda");
  const LinearSite site{.name = "layer", .out_features = 64, .in_features = 128};
  const at::Tensor weight = gaussian({64, 128}, 4) * 0.02;
  const std::vector<std::pair<std::string, std::string>> subjects = {
      {"ste", "{scheme: ternary, group_size: 64}"},
      {"ste", "{scheme: w4_asym, group_size: 64}"},
      {"fairy2i", "{stages: 2}"},
      {"hestia", "{compat: v0, group_size: 64}"}};
  for (const auto& [id, options] : subjects)
    for (const double temperature : {0.0, 0.3}) {
      SCOPED_TRACE(id + " " + options);
      const auto run = [&](at::Device where) {
        const auto quantizer = testing::make<Quantizer>(id, options);
        const auto layer = quantizer->attach(site, {.weight = weight.to(where)});
        auto& form = dynamic_cast<TrainableLinear&>(*layer);
        Knobs knobs;
        knobs.set("temperature", temperature);
        form.set(knobs);
        const at::Tensor y = form.forward(at::eye(128, at::device(where)));
        y.backward(gaussian({128, 64}, 5).to(where));
        return std::pair{y.detach().cpu(), form.trainable().front().leaf.grad().cpu()};
      };

      const auto expected = run(at::kCPU), found = run(device);

      EXPECT_LE(differing(found.first, expected.first, 1e-3), 1e-3);
      EXPECT_LE(differing(found.second, expected.second, 1e-2), 1e-2);
    }
}

}  // namespace
}  // namespace qtk
