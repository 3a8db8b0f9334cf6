#include "dist/simulation/model_costs.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace qtk::dist {
namespace {

model::DecoderConfig llama(bool is_tied) {
  return model::read_decoder_config(nlohmann::json{{"model_type", "llama"},
                                                   {"vocab_size", 100},
                                                   {"hidden_size", 8},
                                                   {"intermediate_size", 24},
                                                   {"num_hidden_layers", 3},
                                                   {"num_attention_heads", 2},
                                                   {"num_key_value_heads", 1},
                                                   {"max_position_embeddings", 64},
                                                   {"tie_word_embeddings", is_tied}},
                                    "config.json");
}

// q and o 8 x 8, k and v 4 x 8, gate, up and down 24 x 8.
constexpr int64_t kLinear = 2 * 64 + 2 * 32 + 3 * 192, kNorms = 16, kHead = 100 * 8;

TEST(ModelCosts, LayersAreCountedByHand) {
  const auto costs = model_costs(llama(false), /*ctx=*/10);

  ASSERT_EQ(costs.layers.size(), 3);
  for (const auto& layer : costs.layers) {
    EXPECT_EQ(layer.parameters, kLinear + kNorms);
    EXPECT_DOUBLE_EQ(layer.forward_flops, 2 * kLinear + 2 * 10 * 8);
  }
  EXPECT_EQ(costs.embedding.parameters, kHead);
  EXPECT_EQ(costs.head.parameters, kHead + 8);
  EXPECT_DOUBLE_EQ(costs.head.forward_flops, 2 * kHead);
  EXPECT_EQ(costs.tied_parameters, 0);
}

TEST(ModelCosts, StagesAddUpToTheModel) {
  const auto costs = model_costs(llama(false), 10);
  const auto whole = stage_costs(costs, {{0, 3}}, 0);

  const auto first = stage_costs(costs, {{0, 1}, {1, 3}}, 0),
             last = stage_costs(costs, {{0, 1}, {1, 3}}, 1);

  EXPECT_EQ(first.parameters + last.parameters, whole.parameters);
  EXPECT_DOUBLE_EQ(first.forward_flops + last.forward_flops, whole.forward_flops);
  EXPECT_EQ(whole.parameters, 3 * (kLinear + kNorms) + 2 * kHead + 8);
}

TEST(ModelCosts, AStageWithoutLayersHoldsAnEnd) {
  const auto costs = model_costs(llama(false), 10);

  EXPECT_EQ(stage_costs(costs, {{0, 0}, {0, 3}}, 0).parameters, kHead);
  EXPECT_EQ(stage_costs(costs, {{0, 0}, {0, 3}}, 1).parameters, 3 * (kLinear + kNorms) + kHead + 8);
}

TEST(ModelCosts, ATiedHeadIsHeldByBothEndsButOnlyOnceByOneRank) {
  const auto costs = model_costs(llama(true), 10);

  EXPECT_EQ(costs.tied_parameters, kHead);
  EXPECT_EQ(stage_costs(costs, {{0, 3}}, 0).parameters, 3 * (kLinear + kNorms) + kHead + 8);
  EXPECT_EQ(stage_costs(costs, {{0, 1}, {1, 3}}, 0).parameters, kLinear + kNorms + kHead);
  EXPECT_EQ(stage_costs(costs, {{0, 1}, {1, 3}}, 1).parameters, 2 * (kLinear + kNorms) + kHead + 8);
}

}  // namespace
}  // namespace qtk::dist
