// The decoder and its scoring on a GPU against the CPU. Run from the repository's root.
#include "model/decoder.hpp"

#include "base/device.hpp"
#include "format/safetensors.hpp"
#include "model/cross_entropy.hpp"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <filesystem>

namespace qtk::model {
namespace {

constexpr const char* kFamilies[] = {
    "gpt2", "llama", "llama_linear_rope", "llama_llama3_rope", "mistral", "phi3", "qwen2", "qwen3"};

class DecoderOnGpu : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!cuda_is_available()) GTEST_SKIP() << "no CUDA device answers";
  }
  std::filesystem::path folder() const {
    return std::filesystem::path("tests/golden/model") / GetParam();
  }
  at::Tensor ids() const {
    return format::SafetensorsFile::open(folder() / "expected.safetensors").tensor("ids");
  }
};

double relative_error(const at::Tensor& found, const at::Tensor& expected) {
  const auto e = expected.to(at::kDouble);
  return ((found.cpu().to(at::kDouble) - e).norm() / e.norm()).item<double>();
}

TEST_P(DecoderOnGpu, LogitsAgreeWithTheCpuInSinglePrecision) {
  const c10::InferenceMode inference;
  const auto device = open_device("cuda");
  const auto expected = Decoder::load(folder())->logits(ids());

  const auto found = Decoder::load(folder(), {.device = device})->logits(ids().to(device));

  EXPECT_LT(relative_error(found, expected), 1e-4);
}

TEST_P(DecoderOnGpu, LogitsAgreeWithTheCpuWithinBf16) {
  const c10::InferenceMode inference;
  const auto device = open_device("cuda");
  const auto expected = Decoder::load(folder())->logits(ids());

  const auto model = Decoder::load(folder(), {.device = device, .dtype = at::kBFloat16});

  EXPECT_LT(relative_error(model->logits(ids().to(device)), expected), 5e-2);
}

TEST_P(DecoderOnGpu, TokenScoresAgreeWithTheCpu) {
  const c10::InferenceMode inference;
  const auto device = open_device("cuda");
  const auto on_cpu = Decoder::load(folder());
  const auto on_gpu = Decoder::load(folder(), {.device = device});
  const auto hidden = on_cpu->hidden(ids()).flatten(0, 1);
  const auto targets = ids().flatten();
  const auto expected = score_tokens(Head::of(*on_cpu), hidden, targets);

  const auto found = score_tokens(Head::of(*on_gpu), hidden.to(device), targets);

  EXPECT_LT(relative_error(found.nll, expected.nll), 1e-4);
  EXPECT_GT(found.argmax.eq(expected.argmax).to(at::kFloat).mean().item<double>(), 0.99);
}

INSTANTIATE_TEST_SUITE_P(Families, DecoderOnGpu, ::testing::ValuesIn(kFamilies),
                         [](const auto& given) { return std::string(given.param); });

}  // namespace
}  // namespace qtk::model
