#include "report/tradeoff.hpp"

#include "report/sample_report.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace qtk::report {
namespace {

RunReport without_quality(RunReport report) {
  for (auto& model : report.models) model.quality.clear();
  return report;
}

TEST(ProtocolsOf, ListEveryProtocolOnceInOrderOfAppearance) {
  auto report = sample_report();
  report.models[2].quality.push_back({"ppl_word/lm_eval", 30, 0, 10});

  EXPECT_EQ(
      protocols_of(report),
      (std::vector<std::string>{"ppl_token/ctx=512", "ppl_llamacpp/ctx=512", "ppl_word/lm_eval"}));
}

TEST(BestTradeoff, IsTheSmallestVariantCloseToTheBaseModel) {
  auto report = sample_report();

  EXPECT_EQ(best_tradeoff(report), &report.models[1]);
  report.tolerance = 0.25;
  EXPECT_EQ(best_tradeoff(report), &report.models[2]);
  report.tolerance = 0.01;
  EXPECT_EQ(best_tradeoff(report), nullptr);
}

TEST(BestTradeoff, CountsAVariantExactlyAtTheTolerance) {
  auto report = sample_report();
  report.models[0].quality[0].value = 20;
  report.models[1].quality[0].value = 21;

  EXPECT_EQ(best_tradeoff(report), &report.models[1]);
}

TEST(BestTradeoff, GoesByTheBaseModelsFirstProtocol) {
  auto report = sample_report();
  std::swap(report.models[3].quality[0],
            report.models[3].quality[1]);  // order within a variant does not matter
  report.models[3].quality[0].value = 18.4;

  EXPECT_EQ(best_tradeoff(report), &report.models[1]);
}

TEST(BestTradeoff, IsNeverAsLargeAsTheBaseModelNorTheBaseModelItself) {
  auto report = sample_report();
  report.models.resize(2);
  report.models[1].tensor_bytes = report.models[0].tensor_bytes;

  EXPECT_EQ(best_tradeoff(report), nullptr);
  report.models.resize(1);
  EXPECT_EQ(best_tradeoff(report), nullptr);
}

TEST(BestTradeoff, PrefersAKnownSize) {
  auto report = sample_report();
  report.tolerance = 0.25;
  report.models[2].tensor_bytes = 0;

  EXPECT_EQ(best_tradeoff(report), &report.models[1]);
}

TEST(BestTradeoff, NeedsFinitePerplexities) {
  auto report = sample_report();
  report.models[1].quality[0].value = NAN;

  EXPECT_EQ(best_tradeoff(report), nullptr);
  report = sample_report();
  report.models[0].quality[0].value = HUGE_VAL;
  EXPECT_EQ(best_tradeoff(report), nullptr);
}

TEST(SummarySentence, NamesTheBestTradeoffWithItsFigures) {
  EXPECT_EQ(summary_sentence(sample_report()),
            "w4 is the smallest variant within 5 % of the base model's perplexity: 20.91 against "
            "20.10 (+4.0 %, "
            "ppl_token/ctx=512) in 116.51 MB, 43.3 % of the base model's 269.06 MB.");
}

TEST(SummarySentence, NamesTheClosestVariantIfNoneIsCloseEnough) {
  auto report = sample_report();
  report.tolerance = 0.025;

  EXPECT_EQ(summary_sentence(report),
            "No smaller variant stays within 2.5 % of the base model's perplexity; the closest is "
            "w4: 20.91 against 20.10 "
            "(+4.0 %, ppl_token/ctx=512) in 116.51 MB, 43.3 % of the base model's 269.06 MB.");
}

TEST(SummarySentence, StaysPlainWhereSomethingIsMissing) {
  const std::string smallest =
      "the smallest variant is w2 with 89.97 MB, 33.4 % of the base model's 269.06 MB.";
  auto diverged_base = sample_report();
  diverged_base.models[0].quality[0].value = NAN;
  auto diverged_variants = sample_report();
  for (size_t i = 1; i < 4; ++i)
    diverged_variants.models[i].quality[0].value = i == 1 ? NAN : HUGE_VAL;
  auto single = sample_report();
  single.models.resize(1);
  auto unsized_ = sample_report();
  for (auto& model : unsized_.models) model.tensor_bytes = 0;
  auto unnamed = sample_report();
  for (auto& model : unnamed.models) model.quality = {{"", model.quality[0].value}};

  const std::pair<RunReport, std::string> cases[] = {
      {RunReport{}, "The run produced no model."},
      {single,
       "One model and no variant of it: base, 269.06 MB, perplexity 20.10 \u00b1 0.12 "
       "(ppl_token/ctx=512)."},
      {without_quality(single), "One model and no variant of it: base, 269.06 MB."},
      {without_quality(sample_report()),
       "The perplexity of the base model was not measured; " + smallest},
      {diverged_base,
       "The base model's perplexity is NaN (ppl_token/ctx=512), so nothing can be compared with "
       "it; " +
           smallest},
      {diverged_variants,
       "No variant has a finite perplexity to compare with the base model's 20.10 "
       "(ppl_token/ctx=512); " +
           smallest},
      {without_quality(unsized_), "The perplexity of the base model was not measured."},
      {unnamed,
       "w4 is the smallest variant within 5 % of the base model's perplexity: 20.91 against 20.10 "
       "(+4.0 %, protocol not "
       "recorded) in 116.51 MB, 43.3 % of the base model's 269.06 MB."},
  };
  for (const auto& [report, sentence] : cases) EXPECT_EQ(summary_sentence(report), sentence);
}

TEST(SummarySentence, SaysWhenTheVariantIsBetterThanTheBaseModel) {
  auto report = sample_report();
  report.models[1].quality[0].value = 20;

  EXPECT_NE(summary_sentence(report).find("20.00 against 20.10 (-0.5 %,"), std::string::npos);
}

}  // namespace
}  // namespace qtk::report
