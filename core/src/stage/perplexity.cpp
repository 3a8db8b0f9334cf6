#include "stage/perplexity.hpp"

#include "base/interrupt.hpp"
#include "base/logging.hpp"
#include "base/progress.hpp"
#include "model/cross_entropy.hpp"
#include "model/family.hpp"
#include "text/windows.hpp"

#include <qtk/runtime/check.hpp>

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <chrono>
#include <cmath>

namespace qtk::stage {
namespace {

/// Sums over predictions, in fp64.
struct ScoreTotals {
  double nll = 0, nll_squared = 0;
  int64_t tokens = 0;
  std::vector<at::Tensor> kl;  // one per batch
  int64_t same_top = 0;

  void add(const model::TokenScores& scores) {
    nll += scores.nll.sum().item<double>();
    nll_squared += scores.nll.square().sum().item<double>();
    tokens += scores.nll.numel();
  }
};

/// Final hidden states at the predicted positions, and what is predicted there.
struct Predictions {
  at::Tensor hidden;   // [n, D]
  at::Tensor targets;  // [n] int64
};

Predictions predictions_of(model::Decoder& decoder, const WindowBatch& batch, c10::Device device) {
  const auto hidden = decoder.hidden(batch.inputs.to(device)).flatten(0, 1);
  const auto targets = batch.targets.flatten();
  const auto scored = targets.ne(text::kUnscoredTarget);
  if (scored.all().item<bool>()) return {hidden, targets};
  const auto rows = scored.nonzero().squeeze(1);
  return {hidden.index_select(0, rows.to(hidden.device())), targets.index_select(0, rows)};
}

Perplexity perplexity_of(const EvaluationPlan& plan, const ScoreTotals& totals, double seconds) {
  const auto count = static_cast<double>(totals.tokens);
  const double mean = totals.nll / count;
  const double variance = std::max(0.0, totals.nll_squared / count - mean * mean);
  const double divisor = plan.words > 0 ? static_cast<double>(plan.words) : count;
  Perplexity result;
  result.protocol = plan.protocol;
  result.nll = totals.nll / divisor;
  result.ppl = std::exp(result.nll);
  // By the delta method: the error of a mean of `count` predictions, scaled as the mean itself is.
  result.standard_error = result.ppl * std::sqrt(variance / count) * count / divisor;
  result.tokens = totals.tokens;
  result.words = plan.words;
  result.seconds = seconds;
  result.tokens_per_second = static_cast<double>(plan.forward_tokens) / seconds;
  return result;
}

void require_same_vocabulary(const model::DecoderConfig& base, const model::DecoderConfig& config,
                             const std::string& label) {
  if (base.vocab_size != config.vocab_size)
    throw DataError(label + ": the base model has " + std::to_string(base.vocab_size) +
                        " tokens, this one " + std::to_string(config.vocab_size),
                    "compare models of one vocabulary");
}

/// Learned positions end; rotary ones do not, but the model was not trained for more.
void require_positions(const EvaluationPlan& plan, const model::DecoderConfig& config,
                       const std::string& label) {
  int64_t longest = 0;
  for (const auto& batch : plan.batches) longest = std::max(longest, batch.inputs.size(1));
  if (longest <= config.max_positions) return;
  const std::string sentence = label + ": windows of " + std::to_string(longest) +
                               " tokens, but the model knows " +
                               std::to_string(config.max_positions) + " positions";
  if (model::find_family(config.model_type)->position == model::PositionKind::kLearned)
    throw DataError(sentence, "choose a smaller ctx");
  core_log().warn(sentence + "; expect worse predictions beyond them");
}

Comparison comparison_of(const ScoreTotals& totals) {
  const auto sorted = std::get<0>(at::cat(totals.kl).sort());
  const int64_t count = sorted.numel();
  const auto at_share = [&](double share) {
    return sorted[std::min<int64_t>(count - 1,
                                    static_cast<int64_t>(share * static_cast<double>(count)))]
        .item<double>();
  };
  return {.kl_mean = sorted.mean().item<double>(),
          .kl_median = at_share(0.5),
          .kl_p99 = at_share(0.99),
          .kl_max = sorted[count - 1].item<double>(),
          .top1 = static_cast<double>(totals.same_top) / static_cast<double>(count)};
}

}  // namespace

Evaluation evaluate(model::Decoder& decoder, const EvaluationPlan& plan, const std::string& label,
                    BaseStates* keep, const BaseStates* compare) {
  const c10::InferenceMode inference;
  const c10::Device device = decoder.parameters().front().tensor.device();
  const model::Head head = model::Head::of(decoder);
  const model::Head base_head = compare ? model::Head::of(*compare->base) : model::Head{};
  if (compare) require_same_vocabulary(compare->base->config(), decoder.config(), label);
  require_positions(plan, decoder.config(), label);
  QTK_CHECK(!compare || compare->hidden.size() == plan.batches.size(),
            "the base states belong to another plan");
  ScoreTotals totals;
  if (keep) *keep = {.base = &decoder, .hidden = {}};
  Progress progress(label, plan.forward_tokens, "token");
  double seconds = 0;
  for (size_t i = 0; i < plan.batches.size(); ++i) {
    stop_if_interrupted();
    const auto start = std::chrono::steady_clock::now();
    const auto [hidden, targets] = predictions_of(decoder, plan.batches[i], device);
    if (compare) {
      const auto pair = model::compare_tokens(base_head, compare->hidden[i].to(hidden.device()),
                                              head, hidden, targets);
      totals.add(pair.model);
      totals.kl.push_back(pair.kl);
      totals.same_top += pair.base.argmax.eq(pair.model.argmax).sum().item<int64_t>();
    } else {
      totals.add(model::score_tokens(head, hidden, targets));
    }
    seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (keep) keep->hidden.push_back(hidden.cpu());
    progress.note("ppl " +
                  std::to_string(std::exp(totals.nll / static_cast<double>(totals.tokens))));
    progress.advance(plan.batches[i].inputs.numel());
  }
  Evaluation evaluation{perplexity_of(plan, totals, seconds), std::nullopt};
  if (!std::isfinite(evaluation.perplexity.nll))
    throw Error(label + ": the model predicts NaN or infinity",
                "check its weights with `qtk inspect`", ExitCode::kFailed, "eval");
  if (compare) evaluation.comparison = comparison_of(totals);
  return evaluation;
}

}  // namespace qtk::stage
