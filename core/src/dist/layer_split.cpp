#include "dist/layer_split.hpp"

#include <qtk/runtime/error.hpp>

#include <algorithm>
#include <limits>
#include <numeric>
#include <string>

namespace qtk::dist {
namespace {

struct Weights {
  double layer = 0, embedding = 0, head = 0;
};

double linear_parameters(const model::DecoderConfig& c, bool is_gated) {
  const auto d = static_cast<double>(c.hidden_size), f = static_cast<double>(c.intermediate_size),
             q = static_cast<double>(c.num_heads * c.head_dim),
             kv = static_cast<double>(c.num_kv_heads * c.head_dim);
  return d * (q + 2 * kv) + q * d + d * f * (is_gated ? 3 : 2);
}

Weights weights_of(const model::DecoderConfig& c, Balance balance, int64_t context) {
  const bool is_gated = c.model_type != "gpt2";
  const double linear = linear_parameters(c, is_gated);
  const double table = static_cast<double>(c.vocab_size * c.hidden_size);
  if (balance == Balance::kParameters)
    return {.layer = linear + 2 * static_cast<double>(c.hidden_size),
            .embedding = table,
            .head = table};  // a tied head is held by the last stage as well
  // Scores and values over half the context on average.
  const double attention =
      static_cast<double>(c.num_heads * c.head_dim) * static_cast<double>(context);
  return {.layer = linear + attention, .embedding = 0, .head = table};
}

class Splitter {
 public:
  Splitter(const Weights& weights, int64_t layers, int64_t stages)
      : weights_(weights), layers_(layers), stages_(stages) {}

  double weight(int64_t stage, int64_t begin, int64_t end) const {
    return static_cast<double>(end - begin) * weights_.layer +
           (stage == 0 ? weights_.embedding : 0) + (stage == stages_ - 1 ? weights_.head : 0);
  }

  /// Dynamic programme over (stage, layers so far); every stage gets at least one layer.
  std::vector<LayerRange> best() const {
    const auto width = static_cast<size_t>(layers_ + 1);
    constexpr double kNever = std::numeric_limits<double>::infinity();
    std::vector<std::vector<double>> cost(static_cast<size_t>(stages_ + 1),
                                          std::vector<double>(width, kNever));
    std::vector<std::vector<int64_t>> from(cost.size(), std::vector<int64_t>(width, 0));
    cost[0][0] = 0;
    for (int64_t stage = 0; stage < stages_; ++stage)
      for (int64_t end = stage + 1; end <= layers_; ++end)
        for (int64_t begin = stage; begin < end; ++begin) {
          const double largest =
              std::max(cost[static_cast<size_t>(stage)][static_cast<size_t>(begin)],
                       weight(stage, begin, end));
          auto& known = cost[static_cast<size_t>(stage + 1)][static_cast<size_t>(end)];
          if (largest < known) {
            known = largest;
            from[static_cast<size_t>(stage + 1)][static_cast<size_t>(end)] = begin;
          }
        }
    std::vector<LayerRange> ranges(static_cast<size_t>(stages_));
    int64_t end = layers_;
    for (int64_t stage = stages_; stage > 0; --stage) {
      const int64_t begin = from[static_cast<size_t>(stage)][static_cast<size_t>(end)];
      ranges[static_cast<size_t>(stage - 1)] = {begin, end};
      end = begin;
    }
    return ranges;
  }

 private:
  const Weights weights_;
  const int64_t layers_, stages_;
};

}  // namespace

Balance balance_from(std::string_view word) {
  return word == "flops" ? Balance::kFlops : Balance::kParameters;
}

std::vector<LayerRange> split_layers(const model::DecoderConfig& config, int64_t stages,
                                     Balance balance, int64_t context) {
  if (stages > config.num_layers)
    throw ConfigError("parallel.pipeline is " + std::to_string(stages) +
                          ", but the model has only " + std::to_string(config.num_layers) +
                          " layers",
                      "use at most as many stages as layers");
  return Splitter(weights_of(config, balance, context), config.num_layers, stages).best();
}

std::vector<LayerRange> split_layers(const model::DecoderConfig& config,
                                     const std::vector<int64_t>& layers) {
  const int64_t sum = std::accumulate(layers.begin(), layers.end(), int64_t{0});
  if (sum != config.num_layers)
    throw ConfigError("parallel.layers adds up to " + std::to_string(sum) +
                          " layers, but the model has " + std::to_string(config.num_layers),
                      "every layer belongs to exactly one stage");
  std::vector<LayerRange> ranges;
  int64_t begin = 0;
  for (const int64_t count : layers) {
    ranges.push_back({begin, begin + count});
    begin += count;
  }
  return ranges;
}

}  // namespace qtk::dist
