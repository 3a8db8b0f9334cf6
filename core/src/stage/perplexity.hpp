// Perplexity of a decoder on a text, by three named protocols, and its agreement with a base model.
//
//   ppl_token/ctx=N      the texts joined, non-overlapping windows of N tokens, N - 1 predictions
//   each (GPTQ and AQLM papers) ppl_llamacpp/ctx=N   the same windows, only predictions of the
//   second half count (llama.cpp's perplexity tool) ppl_word/lm_eval     every token predicted once
//   in rolling windows; exp(-log likelihood / words of the original text)
#pragma once

#include "model/decoder.hpp"
#include "text/tokenizer.hpp"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace qtk::stage {

enum class Protocol { kToken, kLlamaCpp, kWord };

/// "ppl_token", "ppl_llamacpp", "ppl_word". @throws ConfigError for another name, with the known
/// ones
Protocol protocol_from(const std::string& name);

struct EvaluationSettings {
  Protocol protocol = Protocol::kToken;
  int64_t ctx = 2048;           // tokens of a window
  int64_t windows = 0;          // only the first so many; 0: all
  int64_t batch_tokens = 4096;  // per forward pass
};

/// Windows that go through the model together.
struct WindowBatch {
  at::Tensor inputs;   // [B, S] int64
  at::Tensor targets;  // [B, S] int64: the token that input s is to predict, or text::kUnscoredTarget
};

/// What is to be evaluated, independent of any model.
struct EvaluationPlan {
  std::string protocol;  // with its parameters, as printed
  std::vector<WindowBatch> batches;
  int64_t predictions = 0;
  int64_t forward_tokens = 0;  // tokens that go through the model
  int64_t words = 0;           // ppl_word only: the divisor
};

/// The texts to be evaluated and how they are read.
struct EvaluationText {
  std::vector<std::filesystem::path> files;
  std::string format = "text";  // or "wikitext": articles, which ppl_word treats one by one and detokenizes
};

/// @throws DataError if the text is shorter than one window, ConfigError if the settings make no sense
EvaluationPlan plan_evaluation(const text::Tokenizer& tokenizer, const EvaluationText& text,
                               const EvaluationSettings& settings);

struct Perplexity {
  std::string protocol;
  double ppl = 0;
  double standard_error = 0;  // of ppl, from the spread of single predictions
  double nll = 0;      // mean negative log-likelihood, nat per prediction (per word for ppl_word)
  int64_t tokens = 0;  // predictions
  int64_t words = 0;
  double seconds = 0;  // forward passes
  double tokens_per_second = 0;
};

/// Distance of a model's predictions from the base model's, in nat per token.
struct Comparison {
  double kl_mean = 0, kl_median = 0, kl_p99 = 0, kl_max = 0;
  double top1 = 0;  // share of equal first choices
};

/// The base model's final hidden states at the predicted positions, kept so that variants can be
/// compared with it without holding tokens x vocabulary: one [n, D] tensor per batch.
struct BaseStates {
  model::Decoder* base = nullptr;  // for its head; must outlive this
  std::vector<at::Tensor> hidden;
};

struct Evaluation {
  Perplexity perplexity;
  std::optional<Comparison> comparison;
};

/// Runs the plan. @param label for the progress line
/// @param keep     filled with the hidden states if not null
/// @param compare  compared with if not null; from the same plan
Evaluation evaluate(model::Decoder& decoder, const EvaluationPlan& plan, const std::string& label,
                    BaseStates* keep = nullptr, const BaseStates* compare = nullptr);

}  // namespace qtk::stage
