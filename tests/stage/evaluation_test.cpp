// Perplexities against a computation from whole logits, one window after another.
#include "stage/perplexity.hpp"
#include "stage_fixtures.hpp"
#include "text/corpus.hpp"
#include "text/wikitext.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace qtk::stage {
namespace {

/// Every prediction's negative log-likelihood, and the model's log-probabilities at its place.
struct Naive {
  std::vector<double> nll;
  std::vector<at::Tensor> log_p;  // [V] fp64

  void add(model::Decoder& decoder, const std::vector<int32_t>& inputs,
           const std::vector<int32_t>& targets) {  // the last targets.size() inputs predict them
    const auto ids = at::tensor(std::vector<int64_t>(inputs.begin(), inputs.end())).unsqueeze(0);
    const auto log_probabilities = decoder.logits(ids)[0].to(at::kDouble).log_softmax(-1);
    const auto skipped = static_cast<int64_t>(inputs.size() - targets.size());
    for (size_t i = 0; i < targets.size(); ++i) {
      log_p.push_back(log_probabilities[skipped + static_cast<int64_t>(i)]);
      nll.push_back(-log_p.back()[targets[i]].item<double>());
    }
  }
  double total() const {
    double sum = 0;
    for (const double value : nll) sum += value;
    return sum;
  }
  double mean() const { return total() / static_cast<double>(nll.size()); }
  double deviation() const {
    double sum = 0;
    for (const double value : nll) sum += (value - mean()) * (value - mean());
    return std::sqrt(sum / static_cast<double>(nll.size()));
  }
};

class EvaluationTest : public testing::Test {
 protected:
  EvaluationTest() {
    tiny::write_model(plain_, {}, {});
    tiny::write_model(with_bos_, {}, {.adds_bos = true});
    tiny::write_text(text_, 700);
  }

  Naive naive_windows(const fs::path& folder, int64_t first, int64_t ctx, int64_t limit,
                      bool puts_bos) {
    const auto tokenizer = text::Tokenizer::load(folder);
    const auto decoder = model::Decoder::load(folder);
    const auto ids = tokenizer.encode(text::read_text(text_));
    Naive naive;
    for (int64_t w = 0; (w + 1) * ctx <= static_cast<int64_t>(ids.size()) && (!limit || w < limit);
         ++w) {
      std::vector<int32_t> window(ids.begin() + w * ctx, ids.begin() + (w + 1) * ctx);
      if (puts_bos) window[0] = *tokenizer.bos();
      naive.add(*decoder, {window.begin(), window.end() - 1},
                {window.begin() + first, window.end()});
    }
    return naive;
  }

  Evaluation evaluated(const fs::path& folder, const EvaluationSettings& settings,
                       const EvaluationText& text) {
    const auto decoder = model::Decoder::load(folder);
    return evaluate(*decoder, plan_evaluation(text::Tokenizer::load(folder), text, settings),
                    "test");
  }
  Evaluation evaluated(const fs::path& folder, const EvaluationSettings& settings) {
    return evaluated(folder, settings, {.files = {text_}});
  }

  TemporaryFolder scratch_;
  const fs::path plain_ = scratch_ / "plain", with_bos_ = scratch_ / "bos",
                 text_ = scratch_ / "text.txt";
};

void expect_equal(const Perplexity& found, const Naive& naive) {
  const auto count = static_cast<double>(naive.nll.size());
  EXPECT_EQ(found.tokens, static_cast<int64_t>(naive.nll.size()));
  EXPECT_NEAR(found.nll, naive.mean(), 1e-5);
  EXPECT_NEAR(found.ppl, std::exp(naive.mean()), 1e-4 * found.ppl);
  EXPECT_NEAR(found.standard_error, found.ppl * naive.deviation() / std::sqrt(count),
              1e-4 * found.standard_error);
}

TEST_F(EvaluationTest, TokenProtocolScoresAllButTheFirstTokenOfAWindow) {
  const auto found = evaluated(plain_, {.protocol = Protocol::kToken, .ctx = 64});

  EXPECT_EQ(found.perplexity.protocol, "ppl_token/ctx=64");
  expect_equal(found.perplexity, naive_windows(plain_, 1, 64, 0, false));
}

TEST_F(EvaluationTest, TokenProtocolKeepsTheBosOfTheTokenizerOnlyAtTheStartOfTheText) {
  const auto found = evaluated(with_bos_, {.protocol = Protocol::kToken, .ctx = 64});

  expect_equal(found.perplexity, naive_windows(with_bos_, 1, 64, 0, false));
}

TEST_F(EvaluationTest, LlamaCppProtocolScoresTheSecondHalfOfAWindow) {
  for (const int64_t ctx : {64, 65}) {  // llama.cpp: predictions from position n_ctx / 2 on
    const auto found = evaluated(plain_, {.protocol = Protocol::kLlamaCpp, .ctx = ctx});

    EXPECT_EQ(found.perplexity.protocol, "ppl_llamacpp/ctx=" + std::to_string(ctx));
    expect_equal(found.perplexity, naive_windows(plain_, ctx / 2 + 1, ctx, 0, false));
  }
}

TEST_F(EvaluationTest, LlamaCppProtocolPutsBosOverTheFirstTokenOfEveryWindow) {
  const auto found = evaluated(with_bos_, {.protocol = Protocol::kLlamaCpp, .ctx = 64});

  expect_equal(found.perplexity, naive_windows(with_bos_, 33, 64, 0, true));
}

/// lm_eval's get_rolling_token_windows() with a context of one token.
Naive naive_rolling(const fs::path& folder, const std::vector<std::string>& documents,
                    int64_t length) {
  const auto tokenizer = text::Tokenizer::load(folder);
  const auto decoder = model::Decoder::load(folder);
  Naive naive;
  for (const auto& document : documents) {
    auto ids = tokenizer.encode(document, text::SpecialTokens::kOmit);
    const auto count = static_cast<int64_t>(ids.size()), first = std::min(length, count);
    std::vector<int32_t> head = {*tokenizer.bos()};
    head.insert(head.end(), ids.begin(), ids.begin() + first - 1);
    naive.add(*decoder, head, {ids.begin(), ids.begin() + first});
    for (int64_t done = first; done < count;) {
      const int64_t end = done + std::min(count - done, length);
      naive.add(*decoder, {ids.begin() + end - length - 1, ids.begin() + end - 1},
                {ids.begin() + done, ids.begin() + end});
      done = end;
    }
  }
  return naive;
}

void expect_equal_words(const Perplexity& found, const Naive& naive, int64_t words) {
  const double nll = naive.total() / static_cast<double>(words);
  EXPECT_EQ(found.protocol, "ppl_word/lm_eval");
  EXPECT_EQ(found.tokens, static_cast<int64_t>(naive.nll.size()));
  EXPECT_EQ(found.words, words);
  EXPECT_NEAR(found.nll, nll, 1e-5 * nll);
  EXPECT_NEAR(found.ppl, std::exp(nll), 2e-4 * found.ppl);
}

TEST_F(EvaluationTest, WordProtocolPredictsEveryTokenOnceAndDividesByWords) {
  for (const auto& folder : {plain_, with_bos_}) {
    const std::string text = text::read_text(text_);

    const auto found = evaluated(folder, {.protocol = Protocol::kWord, .ctx = 48});

    expect_equal_words(found.perplexity, naive_rolling(folder, {text}, 48),
                       text::count_words(text));
  }
}

std::string wikitext(int articles) {
  std::string text;
  for (int i = 0; i < articles; ++i)
    text += " = Sea " + std::to_string(i) + " = \n \n the old @-@ sea , " +
            tiny::random_text(60 + 30 * i, static_cast<uint64_t>(i)) + " \n \n = = Ship = = \n \n" +
            " it was \" never \" quiet ; 1 @,@ 000 stones . \n \n";
  return text;
}

TEST_F(EvaluationTest, WordProtocolTakesWikitextByArticleDetokenized) {
  write_file_atomically(text_, wikitext(3));
  const auto pages = text::wikitext_pages(text::read_text(text_));
  ASSERT_EQ(pages.size(), 3u);
  std::vector<std::string> shown;
  int64_t words = 0;
  for (const auto& page : pages) {
    shown.push_back(text::detokenize_wikitext(page));
    words += text::count_words(page);
  }

  const auto found = evaluated(plain_, {.protocol = Protocol::kWord, .ctx = 48},
                               {.files = {text_}, .format = "wikitext"});
  const auto limited = evaluated(plain_, {.protocol = Protocol::kWord, .ctx = 48, .windows = 1},
                                 {.files = {text_}, .format = "wikitext"});

  EXPECT_NE(shown[0], pages[0]);
  expect_equal_words(found.perplexity, naive_rolling(plain_, shown, 48), words);
  expect_equal_words(limited.perplexity, naive_rolling(plain_, {shown[0]}, 48),
                     text::count_words(pages[0]));
}

TEST_F(EvaluationTest, WindowsLimitTakesTheFirstOnes) {
  const auto found = evaluated(plain_, {.protocol = Protocol::kToken, .ctx = 32, .windows = 3});

  EXPECT_EQ(found.perplexity.tokens, 3 * 31);
  expect_equal(found.perplexity, naive_windows(plain_, 1, 32, 3, false));
}

TEST_F(EvaluationTest, BatchTokensDoNotChangeTheResult) {
  for (const auto protocol : {Protocol::kToken, Protocol::kLlamaCpp, Protocol::kWord}) {
    const auto one = evaluated(with_bos_, {.protocol = protocol, .ctx = 48, .batch_tokens = 1});

    for (const int64_t batch_tokens : {100, 1 << 20}) {
      const auto many =
          evaluated(with_bos_, {.protocol = protocol, .ctx = 48, .batch_tokens = batch_tokens});
      EXPECT_EQ(many.perplexity.tokens, one.perplexity.tokens);
      EXPECT_NEAR(many.perplexity.nll, one.perplexity.nll, 1e-6 * one.perplexity.nll);
    }
  }
}

TEST_F(EvaluationTest, FilesAreJoinedByABlankLine) {
  const fs::path first = tiny::write_text(scratch_ / "1.txt", 100, 1),
                 second = tiny::write_text(scratch_ / "2.txt", 100, 2);
  write_file_atomically(text_, text::read_text(first) + "\n\n" + text::read_text(second));
  const EvaluationSettings settings{.protocol = Protocol::kToken, .ctx = 32};

  const auto apart = evaluated(plain_, settings, {.files = {first, second}});

  EXPECT_EQ(apart.perplexity.nll, evaluated(plain_, settings).perplexity.nll);
}

TEST_F(EvaluationTest, CrLfCountsAsLf) {
  std::string text = text::read_text(text_), windows;
  for (const char c : text) windows += c == '\n' ? std::string("\r\n") : std::string(1, c);
  write_file_atomically(scratch_ / "crlf.txt", windows);
  for (const auto protocol : {Protocol::kToken, Protocol::kWord}) {
    const EvaluationSettings settings{.protocol = protocol, .ctx = 48};

    const auto crlf = evaluated(plain_, settings, {.files = {scratch_ / "crlf.txt"}});

    const auto lf = evaluated(plain_, settings);
    EXPECT_EQ(crlf.perplexity.nll, lf.perplexity.nll);
    EXPECT_EQ(crlf.perplexity.tokens, lf.perplexity.tokens);
  }
}

TEST_F(EvaluationTest, ComparisonEqualsTheDefinitions) {
  tiny::write_model(scratch_ / "other", [](auto&, auto& tensors) {
    for (auto& [name, tensor] : tensors)
      tensor +=
          at::sin(at::arange(tensor.numel())).reshape(tensor.sizes()).to(tensor.scalar_type()) *
          0.02;
  });
  const auto base = model::Decoder::load(plain_), other = model::Decoder::load(scratch_ / "other");
  const auto plan = plan_evaluation(text::Tokenizer::load(plain_), {.files = {text_}},
                                    {.protocol = Protocol::kLlamaCpp, .ctx = 32});
  const Naive p = naive_windows(plain_, 17, 32, 0, false),
              q = naive_windows(scratch_ / "other", 17, 32, 0, false);
  std::vector<double> kl;
  double same = 0;
  for (size_t i = 0; i < p.log_p.size(); ++i) {
    kl.push_back((p.log_p[i].exp() * (p.log_p[i] - q.log_p[i])).sum().item<double>());
    same += p.log_p[i].argmax().equal(q.log_p[i].argmax()) ? 1 : 0;
  }
  std::ranges::sort(kl);
  const size_t count = kl.size();
  const double mean = std::accumulate(kl.begin(), kl.end(), 0.0) / static_cast<double>(count);

  BaseStates states;
  evaluate(*base, plan, "base", &states);
  const auto found = evaluate(*other, plan, "other", nullptr, &states);
  const auto itself = evaluate(*base, plan, "base", nullptr, &states);

  ASSERT_TRUE(found.comparison);
  EXPECT_NEAR(found.comparison->kl_mean, mean, 1e-5);
  EXPECT_NEAR(found.comparison->kl_median, kl[count / 2], 1e-4);
  EXPECT_NEAR(found.comparison->kl_p99, kl[count * 99 / 100], 1e-4);
  EXPECT_NEAR(found.comparison->kl_max, kl.back(), 1e-4);
  EXPECT_NEAR(found.comparison->top1, same / static_cast<double>(count), 1e-9);
  EXPECT_GT(mean, 1e-3);
  EXPECT_LT(same, static_cast<double>(count));
  expect_equal(found.perplexity, q);
  EXPECT_NEAR(itself.comparison->kl_max, 0, 1e-6);
  EXPECT_EQ(itself.comparison->top1, 1);
}

TEST_F(EvaluationTest, TextsThatCannotBeEvaluatedAreRefused) {
  const fs::path empty = scratch_ / "empty.txt", latin1 = scratch_ / "latin1.txt";
  std::ofstream(empty) << "";
  std::ofstream(latin1) << "caf\xe9 " << tiny::random_text(100);
  const auto tokenizer = text::Tokenizer::load(plain_);
  struct Case {
    EvaluationText text;
    EvaluationSettings settings;
    std::vector<std::string> fragments;
  };
  const std::vector<Case> cases = {
      {{{text_}},
       {.ctx = 100000},
       {"the text has ", " tokens, fewer than one window of 100000", "longer text or a smaller"}},
      {{{empty}}, {.ctx = 8}, {"empty.txt"}},
      {{{empty}}, {.protocol = Protocol::kWord, .ctx = 8}, {"empty.txt"}},
      {{{scratch_ / "missing.txt"}}, {.ctx = 8}, {"missing.txt", "No such file"}},
      {{{latin1}}, {.ctx = 8}, {"latin1.txt", "UTF-8"}},
      {{{scratch_.path()}}, {.ctx = 8}, {"not a regular file"}}};
  for (const auto& [text, settings, fragments] : cases)
    expect_contains(sentence_of<DataError>([&] { plan_evaluation(tokenizer, text, settings); }),
                    fragments);
}

TEST_F(EvaluationTest, SettingsWithoutSenseAreRefused) {
  const auto tokenizer = text::Tokenizer::load(plain_);
  for (const auto protocol : {Protocol::kToken, Protocol::kLlamaCpp})
    for (const int64_t ctx : {-1, 0, 1})
      expect_contains(sentence_of<ConfigError>([&] {
                        plan_evaluation(tokenizer, {{text_}}, {.protocol = protocol, .ctx = ctx});
                      }),
                      {"ctx is " + std::to_string(ctx), "at least"});
  for (const int64_t ctx : {-3, 0, 1})
    expect_contains(sentence_of<ConfigError>([&] {
                      plan_evaluation(tokenizer, {{text_}},
                                      {.protocol = Protocol::kWord, .ctx = ctx});
                    }),
                    {"ctx is " + std::to_string(ctx), "at least 2"});
  expect_contains(sentence_of<ConfigError>([&] {
                    plan_evaluation(tokenizer, {{text_}},
                                    {.protocol = Protocol::kLlamaCpp, .ctx = 2});
                  }),
                  {"ctx is 2", "at least 3"});
  expect_contains(sentence_of<ConfigError>([&] { plan_evaluation(tokenizer, {}, {}); }),
                  {"no text to evaluate on", "--text"});
  expect_contains(sentence_of<ConfigError>([&] { protocol_from("ppl_tokn"); }),
                  {"unknown protocol 'ppl_tokn'; did you mean 'ppl_token'?", "ppl_llamacpp"});
}

TEST_F(EvaluationTest, AModelOfNanIsRefused) {
  tiny::write_model(scratch_ / "nan", [](auto&, auto& tensors) {
    tensors["model.layers.1.mlp.down_proj.weight"][3][5] = std::nan("");
  });

  expect_contains(sentence_of<Error>([&] { evaluated(scratch_ / "nan", {.ctx = 32}); }),
                  {"test: the model predicts NaN or infinity", "qtk inspect"});
}

TEST_F(EvaluationTest, ABaseOfAnotherVocabularyIsRefused) {
  tiny::write_model(scratch_ / "wider", [](auto& config, auto& tensors) {
    config["vocab_size"] = 310;
    for (const auto* name : {"model.embed_tokens.weight", "lm_head.weight"})
      tensors[name] = at::cat({tensors[name], at::ones({10, tiny::kHidden})});
  });
  const auto plan = plan_evaluation(text::Tokenizer::load(plain_), {{text_}}, {.ctx = 32});
  const auto base = model::Decoder::load(scratch_ / "wider");
  BaseStates states;
  evaluate(*base, plan, "base", &states);

  expect_contains(sentence_of<DataError>([&] {
                    evaluate(*model::Decoder::load(plain_), plan, "w4", nullptr, &states);
                  }),
                  {"w4: the base model has 310 tokens, this one 300"});
}

}  // namespace
}  // namespace qtk::stage
