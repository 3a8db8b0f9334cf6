// eval: the base model and every variant by the protocols of data.eval, and the variants' distance
// from the base.
#include "base/interrupt.hpp"
#include "base/logging.hpp"
#include "stage/model_options.hpp"
#include "stage/packed_model.hpp"
#include "stage/perplexity.hpp"
#include "stage/pipeline.hpp"

#include <qtk/runtime/error.hpp>

#include <nlohmann/json.hpp>

#include <chrono>

namespace qtk::stage {
namespace {

using nlohmann::json;

json perplexity_json(const Perplexity& p) {
  return {{"protocol", p.protocol},
          {"ppl", p.ppl},
          {"standard_error", p.standard_error},
          {"nll", p.nll},
          {"tokens", p.tokens},
          {"words", p.words},
          {"seconds", p.seconds},
          {"tokens_per_second", p.tokens_per_second}};
}

json comparison_json(const Comparison& c) {
  return {{"kl_mean", c.kl_mean},
          {"kl_median", c.kl_median},
          {"kl_p99", c.kl_p99},
          {"kl_max", c.kl_max},
          {"top1", c.top1}};
}

/// The plans of all protocols, made once; the first one carries the comparison with the base model.
std::vector<EvaluationPlan> plans_of(const Run& run) {
  const auto& data = *run.config.data.eval;
  const auto tokenizer = text::Tokenizer::load(run.model_folder());
  std::vector<EvaluationPlan> plans;
  for (const auto& name : data.protocol)
    plans.push_back(plan_evaluation(tokenizer,
                                    {{data.files.begin(), data.files.end()}, data.format},
                                    {.protocol = protocol_from(name),
                                     .ctx = data.ctx,
                                     .windows = data.windows,
                                     .batch_tokens = data.batch_tokens}));
  return plans;
}

/// The base model's states for comparisons, made when the first variant asks for them.
class BaseModel {
 public:
  BaseModel(Run& run, const std::vector<EvaluationPlan>& plans) : run_(run), plans_(plans) {}

  /// Evaluates the base model, and keeps its states if variants will be compared with it.
  json evaluate_all(bool keeps_states) {
    json results = json::array();
    for (size_t i = 0; i < plans_.size(); ++i)
      results.push_back(perplexity_json(
          evaluate(decoder(), plans_[i], "eval base", i == 0 && keeps_states ? &states_ : nullptr)
              .perplexity));
    return results;
  }

  const BaseStates& states() {
    if (!states_.base) evaluate(decoder(), plans_[0], "eval base", &states_);
    return states_;
  }
  int64_t tensor_bytes() {
    decoder();
    return opened_.tensor_bytes;
  }

 private:
  model::Decoder& decoder() {
    if (!opened_.decoder)
      opened_ = open_model(run_.model_folder(), load_options(run_), *run_.context);
    return *opened_.decoder;
  }

  Run& run_;
  const std::vector<EvaluationPlan>& plans_;
  OpenModel opened_;
  BaseStates states_;
};

json evaluate_variant(Run& run, const std::string& name, const std::vector<EvaluationPlan>& plans,
                      const BaseStates* base) {
  const auto opened = open_model(run.packed_folder(name), load_options(run), *run.context);
  json record = {{"name", name}, {"tensor_bytes", opened.tensor_bytes}, {"results", json::array()}};
  if (opened.packed_weights > 0)  // else it is dense
    record["bits_per_weight"] =
        static_cast<double>(opened.packed_bits) / static_cast<double>(opened.packed_weights);
  for (size_t i = 0; i < plans.size(); ++i) {
    const auto evaluation =
        evaluate(*opened.decoder, plans[i], "eval " + name, nullptr, i == 0 ? base : nullptr);
    record["results"].push_back(perplexity_json(evaluation.perplexity));
    if (evaluation.comparison) record["comparison"] = comparison_json(*evaluation.comparison);
  }
  return record;
}

template <class Body>
void as_step(Run& run, const std::string& name, Body&& body) {
  const std::string step = "eval." + name;
  if (run.folder.is_finished(step)) return;
  stop_if_interrupted();
  const auto start = std::chrono::steady_clock::now();
  const json record = body();
  const std::string file = "eval/" + name + ".json";
  run.folder.write_json(file, record);
  run.folder.finish(step,
                    std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(),
                    {run.folder / file});
  for (const auto& result : record["results"])
    core_log().info(name + ": " + result["protocol"].get<std::string>() + " = " +
                    result["ppl"].dump());
}

}  // namespace

void eval_stage(Run& run) {
  const auto variants = config::result_names(run.config);
  const bool compares = run.config.data.eval->compare && !variants.empty();
  const auto plans = plans_of(run);
  BaseModel base(run, plans);
  as_step(run, "base", [&]() -> json {
    const json results = base.evaluate_all(compares);
    return {{"name", "base"}, {"tensor_bytes", base.tensor_bytes()}, {"results", results}};
  });
  for (const auto& variant : variants)
    as_step(run, variant, [&] {
      return evaluate_variant(run, variant, plans, compares ? &base.states() : nullptr);
    });
}

}  // namespace qtk::stage
