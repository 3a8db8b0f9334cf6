#include "stage/staged_evaluation.hpp"

#include "dist/tied_rows.hpp"
#include "model/cross_entropy.hpp"
#include "text/windows.hpp"

#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <cmath>

namespace qtk::stage {
namespace {

constexpr int kEvaluationTag = 1 << 23;

/// Sum of losses and their number, of the last stage.
struct LossTotals {
  double nll = 0, tokens = 0;
};

class StagedEvaluation {
 public:
  StagedEvaluation(dist::World& world, model::Decoder& decoder, train::TrainingModel& model)
      : world_(world),
        decoder_(decoder),
        model_(model),
        device_(world.forward().device()) {}  // a stage may have no parameters

  LossTotals run(const WindowBatch& batch) {
    const auto& mesh = world_.mesh();
    world_.begin("evaluation");
    fetch_rows(batch.inputs);
    at::Tensor x;
    if (!mesh.is_first()) {
      x = at::empty({batch.inputs.size(0), batch.inputs.size(1), decoder_.config().hidden_size},
                    at::TensorOptions(decoder_.compute_dtype()).device(device_));
      world_.forward().receive(x, mesh.stage() - 1, kEvaluationTag, "evaluation").wait();
    }
    const auto y = model_.hidden(batch.inputs.to(device_), x);
    if (!mesh.is_last()) {
      world_.forward().send(y.contiguous(), mesh.stage() + 1, kEvaluationTag, "evaluation").wait();
      return {};
    }
    return score(y, batch.targets);
  }

 private:
  /// The first stage's copy of a tied embedding is only as new as the last step's tokens.
  void fetch_rows(const at::Tensor& inputs) {
    const auto& borrowed = model_.borrowed_embedding();
    const auto& mesh = world_.mesh();
    if (mesh.stages == 1 || (!borrowed.defined() && !model_.own_tied_embedding().defined())) return;
    at::Tensor table = (borrowed.defined() ? borrowed : model_.own_tied_embedding()).detach();
    const auto ids = std::get<0>(at::_unique2(inputs.flatten(), /*sorted=*/true)).to(device_);
    dist::TiedRows(world_.ends()).fetch(table, ids);
  }

  LossTotals score(const at::Tensor& hidden, const at::Tensor& targets) const {
    const auto flat = targets.flatten();
    const auto rows = flat.ne(text::kUnscoredTarget).nonzero().flatten();
    const auto statistics = model::score_tokens(
        model::Head::of(decoder_), hidden.flatten(0, 1).index_select(0, rows.to(device_)),
        flat.index_select(0, rows));
    return {statistics.nll.to(at::kDouble).sum().item<double>(), static_cast<double>(rows.numel())};
  }

  dist::World& world_;
  model::Decoder& decoder_;
  train::TrainingModel& model_;
  const c10::Device device_;
};

}  // namespace

double staged_held_out_loss(dist::World& world, model::Decoder& decoder,
                            train::TrainingModel& model, const EvaluationPlan& plan) {
  const at::NoGradGuard no_grad;
  StagedEvaluation evaluation(world, decoder, model);
  LossTotals own;
  for (size_t i = 0; i < plan.batches.size(); ++i) {
    if (static_cast<int>(i) % world.mesh().replicas != world.mesh().replica()) continue;
    const LossTotals batch = evaluation.run(plan.batches[i]);
    own.nll += batch.nll;
    own.tokens += batch.tokens;
  }
  at::Tensor totals = at::tensor({own.nll, own.tokens}, at::kDouble);
  world.control().all_reduce_sum(totals);
  const double loss = totals[0].item<double>() / totals[1].item<double>();
  if (!std::isfinite(loss))
    throw Error("the model predicts NaN or infinity", "check its weights with `qtk inspect`",
                ExitCode::kFailed, "eval");
  return loss;
}

}  // namespace qtk::stage
