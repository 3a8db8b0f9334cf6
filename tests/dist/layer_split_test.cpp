#include "dist/layer_split.hpp"

#include "ranks.hpp"

#include <algorithm>
#include <limits>

namespace qtk::dist {
namespace {

model::DecoderConfig config_of(int64_t layers, int64_t vocabulary) {
  model::DecoderConfig config;
  config.model_type = "llama";
  config.vocab_size = vocabulary;
  config.hidden_size = 64;
  config.intermediate_size = 160;
  config.num_layers = layers;
  config.num_heads = 4;
  config.num_kv_heads = 2;
  config.head_dim = 16;
  return config;
}

/// Weight of a stage, written down anew: parameters, or multiplications per token.
double weight_of(const model::DecoderConfig& c, Balance balance, int64_t context,
                 const LayerRange& range, bool is_first, bool is_last) {
  const double linear = 64 * (64 + 2 * 32) + 64 * 64 + 3 * 64 * 160;
  const double table = static_cast<double>(c.vocab_size) * 64;
  const auto layers = static_cast<double>(range.end - range.begin);
  if (balance == Balance::kParameters)
    return layers * (linear + 2 * 64) + (is_first ? table : 0) + (is_last ? table : 0);
  return layers * (linear + 64 * static_cast<double>(context)) + (is_last ? table : 0);
}

double largest(const model::DecoderConfig& c, Balance balance, int64_t context,
               const std::vector<LayerRange>& ranges) {
  double most = 0;
  for (size_t i = 0; i < ranges.size(); ++i)
    most =
        std::max(most, weight_of(c, balance, context, ranges[i], i == 0, i + 1 == ranges.size()));
  return most;
}

/// The least of `largest` over all ways to cut where every stage has a layer.
double brute_force(const model::DecoderConfig& c, Balance balance, int64_t context, int64_t stages,
                   std::vector<LayerRange> ranges = {}) {
  const int64_t begin = ranges.empty() ? 0 : ranges.back().end;
  const int64_t left = stages - static_cast<int64_t>(ranges.size());
  if (left == 0)
    return begin == c.num_layers ? largest(c, balance, context, ranges)
                                 : std::numeric_limits<double>::infinity();
  double least = std::numeric_limits<double>::infinity();
  for (int64_t end = begin + 1; end <= c.num_layers - left + 1; ++end) {
    auto longer = ranges;
    longer.push_back({begin, end});
    least = std::min(least, brute_force(c, balance, context, stages, longer));
  }
  return least;
}

void expect_partition(const std::vector<LayerRange>& ranges, int64_t layers, int64_t stages) {
  ASSERT_EQ(static_cast<int64_t>(ranges.size()), stages);
  int64_t at = 0;
  for (const auto& range : ranges) {
    EXPECT_EQ(range.begin, at);
    EXPECT_GE(range.end, range.begin);
    at = range.end;
  }
  EXPECT_EQ(at, layers);
}

TEST(LayerSplitTest, NoOtherCutHasASmallerLargestStage) {
  for (const auto balance : {Balance::kParameters, Balance::kFlops})
    for (const int64_t vocabulary : {16, 700, 2000})
      for (const int64_t context : {16, 4096})
        for (int64_t layers = 1; layers <= 8; ++layers)
          for (int64_t stages = 1; stages <= std::min<int64_t>(layers, 5); ++stages) {
            SCOPED_TRACE(::testing::Message() << layers << " layers, " << stages << " stages, "
                                              << vocabulary << " tokens, context " << context);
            const auto config = config_of(layers, vocabulary);

            const auto ranges = split_layers(config, stages, balance, context);

            expect_partition(ranges, layers, stages);
            EXPECT_DOUBLE_EQ(largest(config, balance, context, ranges),
                             brute_force(config, balance, context, stages));
          }
}

TEST(LayerSplitTest, TheEndsHoldFewerLayersWhereTheVocabularyIsLarge) {
  // A table of a vocabulary weighs as much as two layers.
  const auto config = config_of(11, 2 * (64 * 128 + 64 * 64 + 3 * 64 * 160 + 128) / 64);

  EXPECT_EQ(split_layers(config, 3, Balance::kParameters, 1),
            (std::vector<LayerRange>{{0, 3}, {3, 8}, {8, 11}}));
}

TEST(LayerSplitTest, NumbersOfLayersAreTakenAsTheyAreGiven) {
  const auto config = config_of(5, 16);

  EXPECT_EQ(split_layers(config, std::vector<int64_t>{3, 0, 2}),
            (std::vector<LayerRange>{{0, 3}, {3, 3}, {3, 5}}));
}

TEST(LayerSplitTest, WhatCannotBeSplitIsRefused) {
  const auto config = config_of(3, 16);

  EXPECT_EQ(sentence_of([&] { split_layers(config, 4, Balance::kFlops, 8); }),
            "parallel.pipeline is 4, but the model has only 3 layers");
  EXPECT_EQ(sentence_of([&] {
              split_layers(config, std::vector<int64_t>{1, 1});
            }),
            "parallel.layers adds up to 2 layers, but the model has 3");
  EXPECT_THROW(split_layers(config, std::vector<int64_t>{4}), ConfigError);
}

TEST(LayerSplitTest, TheWordsOfTheConfigurationAreKnown) {
  EXPECT_EQ(balance_from("flops"), Balance::kFlops);
  EXPECT_EQ(balance_from("parameters"), Balance::kParameters);
}

}  // namespace
}  // namespace qtk::dist
