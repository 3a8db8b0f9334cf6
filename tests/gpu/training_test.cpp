// Training on a GPU: its kernels against their plain forms, and a few steps against the CPU's.
#include "../stage/train_fixture.hpp"
#include "base/device.hpp"
#include "model/block_cuda.hpp"
#include "model/mlp.hpp"
#include "text/windows.hpp"
#include "train/softmax_rows.hpp"
#include "train/token_loss.hpp"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

namespace qtk {
namespace {

at::Tensor leaf(at::IntArrayRef shape, at::ScalarType dtype) {
  return at::randn(shape, at::TensorOptions(at::kCUDA)).to(dtype).requires_grad_();
}

void expect_near(const at::Tensor& found, const at::Tensor& expected, double tolerance) {
  ASSERT_EQ(found.sizes(), expected.sizes());
  EXPECT_LE((found.to(at::kFloat) - expected.to(at::kFloat)).abs().max().item<double>(),
            tolerance * (1 + expected.abs().max().item<double>()));
}

TEST(TrainingOnGpu, BlockKernelsFollowTheirPlainForms) {
  if (!cuda_is_available()) GTEST_SKIP() << "no CUDA device answers";
  open_device("cuda");
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const double tolerance = dtype == at::kFloat ? 1e-5 : 2e-2;
    const auto angles = at::rand({6, 8}, at::TensorOptions(at::kCUDA)) * 6;
    const model::RotaryTable table{angles.cos(), angles.sin()};
    const auto x = leaf({2, 6, 3, 20}, dtype), y = leaf({2, 6, 3, 20}, dtype);
    const auto rotated = model::rotate_cuda(x, table), plain = model::rotate_ref(x, table);
    expect_near(rotated, plain, tolerance);
    expect_near(torch::autograd::grad({rotated}, {x}, {y.detach()})[0],
                torch::autograd::grad({plain}, {x}, {y.detach()})[0], tolerance);

    const auto gate = leaf({5, 32}, dtype), up = leaf({5, 32}, dtype), of = leaf({5, 32}, dtype);
    const auto fused = model::silu_times_cuda(gate, up), ref = model::silu_times_ref(gate, up);
    expect_near(fused, ref, tolerance);
    const auto found = torch::autograd::grad({fused}, {gate, up}, {of.detach()}),
               expected = torch::autograd::grad({ref}, {gate, up}, {of.detach()});
    expect_near(found[0], expected[0], tolerance);
    expect_near(found[1], expected[1], tolerance);
  }
}

TEST(TrainingOnGpu, SoftmaxKernelGivesTheRowsOfTheCpu) {
  if (!cuda_is_available()) GTEST_SKIP() << "no CUDA device answers";
  open_device("cuda");
  auto logits = at::randn({7, 5000}) * 4;
  auto targets = at::randint(5000, {7}, at::kLong);
  targets[3] = text::kUnscoredTarget;
  auto on_gpu = logits.to(at::kCUDA);
  ASSERT_TRUE(train::has_softmax_kernel(on_gpu));
  const auto nll = at::empty({7}, at::kDouble), nll_gpu = at::empty({7}, on_gpu.options());

  train::softmax_gradient_rows(logits, targets, 0.5, nll);
  train::softmax_gradient_cuda(on_gpu, targets.to(at::kCUDA), 0.5, nll_gpu);

  EXPECT_TRUE(at::allclose(on_gpu.cpu(), logits, 1e-4, 1e-7));
  EXPECT_TRUE(at::allclose(nll_gpu.cpu().to(at::kDouble), nll, 1e-5, 1e-5));
}

class TrainingRunOnGpu : public stage::TrainTest {};

TEST_F(TrainingRunOnGpu, LossesAreNearTheCpus) {
  if (!cuda_is_available()) GTEST_SKIP() << "no CUDA device answers";
  write_config("steps: 10, log_every: 1, eval_every: 5");
  train({}, "cpu");
  for (const auto& [folder, precision, tolerance] :
       {std::tuple{"fp32", "fp32", 0.01}, std::tuple{"bf16", "bf16", 0.05}}) {
    SCOPED_TRACE(folder);
    train({"device=cuda", std::string("train.precision=") + precision}, folder);

    const auto expected = metrics("affine", "cpu"), found = metrics("affine", folder);
    ASSERT_EQ(found.size(), expected.size());
    for (size_t i = 0; i < found.size(); ++i)
      for (const char* key : {"loss", "val_loss"}) {
        if (!expected[i].contains(key)) continue;
        EXPECT_NEAR(found[i][key].get<double>(), expected[i][key].get<double>(), tolerance) << i;
      }
  }
}

}  // namespace
}  // namespace qtk
