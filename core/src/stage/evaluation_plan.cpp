// Which windows of which tokens each protocol evaluates.
#include "base/nearest_name.hpp"
#include "stage/perplexity.hpp"
#include "text/corpus.hpp"
#include "text/wikitext.hpp"
#include "text/windows.hpp"

#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>

#include <algorithm>

namespace qtk::stage {
namespace {

struct ProtocolName {
  Protocol protocol;
  std::string name;
};
const std::vector<ProtocolName>& protocol_names() {
  static const std::vector<ProtocolName> names = {{Protocol::kToken, "ppl_token"},
                                                  {Protocol::kLlamaCpp, "ppl_llamacpp"},
                                                  {Protocol::kWord, "ppl_word"}};
  return names;
}

std::string names_of(const EvaluationText& text) {
  std::vector<std::string> names;
  for (const auto& file : text.files) names.push_back(file.string());
  return join(names);
}

std::vector<std::string> documents_of(const EvaluationText& text) {
  const auto format =
      text.format == "text" ? text::CorpusFormat::kPlain : text::corpus_format(text.format);
  std::vector<std::string> documents;
  for (const auto& file : text.files)
    for (auto& document : text::read_documents({.path = file, .format = format}))
      documents.push_back(std::move(document));
  return documents;
}

/// Whole files joined by blank lines: what perplexity scripts feed.
std::string joined_files(const EvaluationText& text) {
  std::string joined;
  for (const auto& file : text.files) {
    if (!joined.empty()) joined += "\n\n";
    joined += text::read_text(file);
  }
  return joined;
}

void add_batch(EvaluationPlan& plan, at::Tensor inputs, at::Tensor targets) {
  plan.predictions += targets.ne(text::kUnscoredTarget).sum().item<int64_t>();
  plan.forward_tokens += inputs.numel();
  plan.batches.push_back({std::move(inputs), std::move(targets)});
}

/// Each protocol must have something to predict in a window.
void check_ctx(const EvaluationSettings& settings) {
  const int64_t least = settings.protocol == Protocol::kLlamaCpp ? 3 : 2;
  if (settings.ctx < least)
    throw ConfigError(
        "ctx is " + std::to_string(settings.ctx) + ", expected at least " + std::to_string(least),
        "give a longer window");
}

text::TokenWindows windows_of(const std::vector<int32_t>& ids, const EvaluationText& text,
                              const EvaluationSettings& settings) {
  text::TokenWindows windows(text::id_tensor(ids), settings.ctx);
  if (windows.count() == 0)
    throw DataError(names_of(text) + ": the text has " + std::to_string(ids.size()) +
                        " tokens, fewer than one window of " + std::to_string(settings.ctx),
                    "give a longer text or a smaller ctx");
  return windows;
}

int64_t batch_size(const EvaluationSettings& settings) {
  return std::max<int64_t>(1, settings.batch_tokens / settings.ctx);
}

/// Windows of ctx tokens; predictions of tokens first ... ctx - 1 count.
EvaluationPlan plan_windows(const text::Tokenizer& tokenizer, const EvaluationText& text,
                            const EvaluationSettings& settings) {
  const bool is_llamacpp = settings.protocol == Protocol::kLlamaCpp;
  const auto windows = windows_of(tokenizer.encode(joined_files(text)), text, settings);
  const int64_t count =
      settings.windows > 0 ? std::min(settings.windows, windows.count()) : windows.count();
  const int64_t first = is_llamacpp ? settings.ctx / 2 + 1 : 1;
  EvaluationPlan plan;
  plan.protocol = std::string(is_llamacpp ? "ppl_llamacpp" : "ppl_token") +
                  "/ctx=" + std::to_string(settings.ctx);
  for (int64_t at = 0; at < count; at += batch_size(settings)) {
    const auto ids = windows.batch(at, std::min(batch_size(settings), count - at)).clone();
    // llama.cpp puts BOS over the first token of every window if the model wants one.
    if (is_llamacpp && tokenizer.adds_bos() && tokenizer.bos())
      ids.select(1, 0).fill_(*tokenizer.bos());
    auto targets = ids.slice(1, 1).clone();
    targets.slice(1, 0, first - 1).fill_(text::kUnscoredTarget);
    add_batch(plan, ids.slice(1, 0, settings.ctx - 1), std::move(targets));
  }
  return plan;
}

/// lm_eval's `wikitext`: articles one by one, detokenized, every token predicted once. `windows`
/// limits the articles.
EvaluationPlan plan_words(const text::Tokenizer& tokenizer, const EvaluationText& text,
                          const EvaluationSettings& settings) {
  const auto prefix = tokenizer.bos() ? tokenizer.bos() : tokenizer.eos();
  if (!prefix)
    throw DataError(
        "ppl_word needs a token to start from, and the tokenizer names neither BOS nor EOS",
        "use ppl_token, or set bos_token in tokenizer_config.json");
  EvaluationPlan plan;
  plan.protocol = "ppl_word/lm_eval";
  int64_t documents = 0;
  for (const auto& document : documents_of(text)) {
    if (settings.windows > 0 && documents++ == settings.windows) break;
    plan.words += text::count_words(document);
    const auto shown = text.format == "wikitext" ? text::detokenize_wikitext(document) : document;
    const auto ids = tokenizer.encode(shown, text::SpecialTokens::kOmit);
    if (ids.empty()) continue;
    const text::RollingWindows windows(text::id_tensor(ids), *prefix, settings.ctx);
    const auto count = static_cast<int64_t>(windows.windows().size());
    for (int64_t at = 0; at < count; at += batch_size(settings)) {
      auto batch = windows.batch(at, std::min(batch_size(settings), count - at));
      add_batch(plan, std::move(batch.inputs), std::move(batch.targets));
    }
  }
  if (plan.predictions == 0)
    throw DataError(names_of(text) + ": the text is empty", "give a text with at least one token");
  return plan;
}

}  // namespace

Protocol protocol_from(const std::string& name) {
  std::vector<std::string> known;
  for (const auto& [protocol, known_name] : protocol_names()) {
    if (name == known_name) return protocol;
    known.push_back(known_name);
  }
  const std::string nearest = nearest_name(name, known);
  throw ConfigError("unknown protocol '" + name + "'" +
                        (nearest.empty() ? "" : "; did you mean '" + nearest + "'?"),
                    "known: " + join(known));
}

EvaluationPlan plan_evaluation(const text::Tokenizer& tokenizer, const EvaluationText& text,
                               const EvaluationSettings& settings) {
  if (text.files.empty())
    throw ConfigError("no text to evaluate on", "name one in data.eval.files or with --text");
  check_ctx(settings);
  return settings.protocol == Protocol::kWord ? plan_words(tokenizer, text, settings)
                                              : plan_windows(tokenizer, text, settings);
}

}  // namespace qtk::stage
