#include "model/decoder.hpp"

#include "golden.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace qtk::model {
namespace {

const std::vector<std::string> kModels = {"llama", "llama_llama3_rope", "llama_linear_rope", "llama_bf16", "mistral",
                                          "qwen2", "qwen3",             "phi3",              "gpt2"};

class GoldenModel : public testing::TestWithParam<std::string> {};

TEST_P(GoldenModel, GivesTheLogitsOfTransformers) {
  const auto expected = expected_of(GetParam());
  const auto model = Decoder::load(golden(GetParam()));

  const auto logits = model->logits(expected.ids);

  EXPECT_LT(relative_error(logits, expected.logits), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Families, GoldenModel, testing::ValuesIn(kModels),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace qtk::model
