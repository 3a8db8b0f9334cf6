#include "report/run_report.hpp"

#include "report/markup_checker.hpp"
#include "report/number.hpp"
#include "report/page_parts.hpp"
#include "report/sample_report.hpp"
#include "report/tradeoff.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <regex>

namespace qtk::report {
namespace {

/// The part of the page from one heading to the next.
std::string section_of(const std::string& page, const std::string& id) {
  const auto start = page.find("<section id=\"" + id + "\"");
  return start == std::string::npos ? ""
                                    : page.substr(start, page.find("</section>", start) - start);
}

std::string data(double value, const std::string& shown) {
  return "<data value=\"" + exact(value) + "\">" + shown + "</data>";
}

TEST(RunReportHtml, IsWellFormed) { EXPECT_EQ(MarkupChecker::fault(html(sample_report())), ""); }

TEST(RunReportHtml, IsTheSameForTheSameReport) {
  EXPECT_EQ(html(sample_report()), html(sample_report()));
}

TEST(RunReportHtml, FetchesNothingAndRunsNothing) {
  const auto page = html(sample_report());

  for (const char* outside : {"http", "src=", "url(", "href", "@import", "<script", "<link",
                              "<iframe", "onload", "onclick"}) {
    EXPECT_FALSE(holds(page, outside)) << outside;
  }
}

TEST(RunReportHtml, StaysSmall) {
  EXPECT_LT(html(sample_report()).size(), 300'000u);  // 210 sites in each of three variants
}

TEST(RunReportHtml, StartsWithTitleAndSummary) {
  const auto page = html(sample_report());

  EXPECT_TRUE(holds(page, "<title>smollm2-sweep \u2013 qtk</title>"));
  EXPECT_TRUE(holds(page, "<h1>smollm2-sweep</h1>"));
  EXPECT_TRUE(holds(page,
                    "<p class=\"lead\">w4 is the smallest variant within 5 % of the base "
                    "model&#39;s perplexity: 20.91 "
                    "against 20.10 (+4.0 %, ppl_token/ctx=512)"));
  EXPECT_TRUE(holds(page, "Started 2025-11-03T14:12:09Z"));
  EXPECT_TRUE(holds(page, data(1487.3, "24 min 47 s")));
}

TEST(RunReportHtml, HasItsSectionsInOrder) {
  const auto page = html(sample_report());

  size_t before = 0;
  for (const char* id : {"summary", "tradeoff", "layers", "files", "stages", "provenance"}) {
    const auto at = page.find("<section id=\"" + std::string(id) + "\"");
    ASSERT_NE(at, std::string::npos) << id;
    EXPECT_GT(at, before) << id;
    before = at;
  }
}

TEST(RunReportHtml, AdaptsToDarkSchemesNarrowScreensAndPaper) {
  const auto page = html(sample_report());

  EXPECT_TRUE(holds(page, "prefers-color-scheme:dark"));
  EXPECT_TRUE(holds(page, "name=\"viewport\" content=\"width=device-width"));
  EXPECT_TRUE(holds(page, "@media screen and (max-width:"));
  EXPECT_TRUE(holds(page, "@media print"));
}

TEST(RunReportHtml, EscapesEveryString) {
  const std::string attack = "<script>alert(\"x\")</script>&'";
  auto report = sample_report();
  for (auto* field : {&report.name, &report.started, &report.command, &report.model, &report.data,
                      &report.machine, &report.configuration, &report.speed_protocol}) {
    *field = attack;
  }
  report.stage_seconds[0].first = attack;
  auto& variant = report.models[1];
  for (auto* field : {&variant.name, &variant.description, &variant.quality[0].protocol,
                      &variant.agreement->protocol, &variant.sites[0].site, &variant.sites[0].role,
                      &variant.files[0].format, &variant.files[0].path, &variant.files[0].check}) {
    *field = attack;
  }

  const auto page = html(report);

  EXPECT_EQ(MarkupChecker::fault(page), "");
  EXPECT_FALSE(holds(page, "<script"));
  EXPECT_GE(count(page, "&lt;script&gt;alert("), 17u);
}

TEST(SummaryTable, ShowsEveryFigureOfEveryModel) {
  const auto report = sample_report();
  const auto table = section_of(html(report), "summary");

  for (const auto& model : report.models) {
    EXPECT_TRUE(holds(table, "<b>" + model.name + "</b>"));
    EXPECT_TRUE(holds(table, "<small>" + model.description + "</small>"));
    EXPECT_TRUE(holds(table, "<data value=\"" + std::to_string(model.tensor_bytes) + "\">" +
                                 grouped(model.tensor_bytes) + " bytes"));
    EXPECT_TRUE(holds(table, fixed(static_cast<double>(model.tensor_bytes) / 1e6, 2) + " MB"));
    EXPECT_TRUE(holds(table, fixed(static_cast<double>(model.tensor_bytes) / 1048576, 2) + " MiB"));
    EXPECT_TRUE(holds(table, data(model.bits_per_weight, fixed(model.bits_per_weight, 2))));
    EXPECT_TRUE(holds(
        table, data(model.tokens_per_second, grouped(std::llround(model.tokens_per_second)))));
    for (const auto& figure : model.quality) {
      EXPECT_TRUE(holds(table, data(figure.value, measured(figure.value, figure.standard_error))))
          << figure.protocol;
    }
  }
  for (const char* cell : {"<data value=\"0.031237\">0.0312<", "<data value=\"0.014189\">0.0142<",
                           "<data value=\"0.29812\">0.298<", "<data value=\"2.1134\">2.11<",
                           "<data value=\"0.93142\">93.1 %<"}) {
    EXPECT_EQ(count(table, cell), 3u) << cell;
  }
}

TEST(SummaryTable, GivesRatiosToTheBaseModel) {
  const auto table = section_of(html(sample_report()), "summary");

  EXPECT_TRUE(holds(table, "\u00d7 " + data(20.9113 / 20.1042, "1.040")));
  EXPECT_TRUE(holds(table, "\u00d7 " + data(310.218 / 20.1042, "15.43")));
  EXPECT_EQ(count(table, "\u00d7 " + data(1, "1.000")), 2u);
  EXPECT_TRUE(holds(table, ">43.3 %<"));
  EXPECT_TRUE(holds(table, "\u00d7 0.930"));
}

TEST(SummaryTable, MarksTheBestTradeoffOnly) {
  const auto table = section_of(html(sample_report()), "summary");

  EXPECT_EQ(count(table, "best trade-off"), 1u);
  EXPECT_TRUE(holds(table, "<b>w4</b> <span class=\"best\">"));
}

TEST(SummaryTable, ScopesItsHeadings) {
  const auto table = section_of(html(sample_report()), "summary");

  EXPECT_EQ(count(table, "scope=\"row\""), 4u);
  EXPECT_EQ(count(table, "scope=\"colgroup\""), 3u);
  EXPECT_TRUE(holds(table, "scope=\"colgroup\" colspan=\"5\""));
  EXPECT_EQ(count(table, "<th"), count(table, "scope=\"") + count(table, "<thead"));
}

TEST(SummaryTable, ExplainsItsProtocols) {
  const auto table = section_of(html(sample_report()), "summary");

  EXPECT_TRUE(holds(table, "<code>ppl_token/ctx=512</code>: concatenated text in windows"));
  EXPECT_TRUE(holds(table, "117,974 predictions."));
  EXPECT_TRUE(holds(table, "nat/token (ppl_token/ctx=512)"));
  EXPECT_TRUE(holds(table, "forward pass of the evaluation, NVIDIA H100, LibTorch 2.11.0"));
}

TEST(SummaryTable, WarnsIfModelsWereNotMeasuredOnTheSameText) {
  auto report = sample_report();
  report.models[2].quality[0].tokens = 1000;

  const auto table = section_of(html(report), "summary");

  EXPECT_TRUE(holds(table,
                    "predictions differ (base 117,974, w4 117,974, w3 1,000, w2 117,974), so the "
                    "figures are not over the same text"));
}

TEST(SummaryTable, PrefersTheSpeedsOwnProtocol) {
  auto report = sample_report();
  report.speed_protocol = "H100, batch 8 x 512, bf16";

  EXPECT_TRUE(holds(html(report), "forward pass of the evaluation, H100, batch 8 x 512, bf16"));
}

TEST(SummaryTable, HasNoColumnsForWhatNobodyMeasured) {
  auto report = sample_report();
  for (auto& model : report.models) {
    model.agreement.reset();
    model.tokens_per_second = 0;
    model.quality.clear();
  }

  const auto table = section_of(html(report), "summary");

  EXPECT_FALSE(holds(table, "KL"));
  EXPECT_FALSE(holds(table, "okens/s"));
  EXPECT_FALSE(holds(table, "standard error"));
  EXPECT_TRUE(holds(table, "No perplexity was measured."));
}

TEST(SummaryTable, SaysWhatIsMissingOfOneModel) {
  auto report = sample_report();
  report.models[2].agreement.reset();
  report.models[2].quality.pop_back();
  report.models[3].tensor_bytes = 0;

  const auto table = section_of(html(report), "summary");

  EXPECT_EQ(count(table, ">not measured<"), 6u);  // five columns of agreement and one protocol
  EXPECT_EQ(count(table, ">the reference<"), 5u);
  EXPECT_EQ(count(table, ">not written<"), 1u);
}

TEST(TradeoffSection, HasAChartForEachProtocolAndOneForTheDivergence) {
  const auto charts = section_of(html(sample_report()), "tradeoff");

  EXPECT_EQ(count(charts, "<figure>"), 3u);
  EXPECT_EQ(count(charts, "<b>Perplexity against size</b>"), 2u);
  EXPECT_EQ(
      count(charts,
            "<b>Divergence from the base model against size</b>, <code>ppl_token/ctx=512</code>"),
      1u);
  EXPECT_EQ(count(charts, "class=\"reference\""), 2u);
}

TEST(TradeoffSection, NamesTheModelsItCannotDraw) {
  auto report = sample_report();
  report.models[3].quality[0].value = NAN;
  report.models[2].quality[0].value = HUGE_VAL;
  report.models[1].tensor_bytes = 0;

  const auto page = html(report);

  EXPECT_EQ(MarkupChecker::fault(page), "");
  const auto charts = section_of(page, "tradeoff");
  EXPECT_TRUE(
      holds(charts, "Not drawn: w4 (size not known). Not drawn: w3 (inf). Not drawn: w2 (NaN)."));
  EXPECT_FALSE(std::regex_search(charts, std::regex(" (d|x|y)=\"[^\"]*(nan|NaN|inf)")));
}

TEST(LayerSection, TellsEverySitesExactErrorInATooltip) {
  const auto report = sample_report();
  const auto section = section_of(html(report), "layers");

  for (const auto& model : report.models) {
    for (const auto& site : model.sites) {
      EXPECT_TRUE(holds(section, "<title>" + site.site + ": " + exact(site.relative_error) + ", " +
                                     exact(site.bits_per_weight) + " bits/weight</title>"));
    }
  }
}

TEST(LayerSection, HasAPanelForEachRoleOfEachVariant) {
  const auto section = section_of(html(sample_report()), "layers");

  EXPECT_EQ(count(section, "<svg class=\"panel\""), 21u);
  for (const char* role : kRoles)
    EXPECT_TRUE(holds(section, ">" + std::string(role) + " of w3: relative error by block</title>"))
        << role;
}

TEST(LayerSection, ListsTheTenWorstSitesAndDrawsThemInFullColour) {
  auto report = sample_report();
  report.models.resize(2);
  report.models[1].sites[42].relative_error = 0.987654;
  const auto section = section_of(html(report), "layers");

  const auto table = section.substr(section.find("<table class=\"worst\""));
  EXPECT_EQ(count(table.substr(0, table.find("</table>")), "scope=\"row\""), 10u);
  EXPECT_TRUE(holds(table,
                    "<th "
                    "scope=\"row\">model.<wbr/>layers.<wbr/>6.<wbr/>self_attn.<wbr/>q_proj</"
                    "th><td>6</td><td>0.9877</td><td>4.28</td>"));
  size_t highlighted = 0;
  for (size_t at = section.find(" worst\">"); at != std::string::npos;
       at = section.find(" worst\">", at + 1)) {
    const auto group = section.substr(at, section.find("<text", at) - at);  // the axis comes next
    highlighted += count(group, "<title>");
  }
  EXPECT_EQ(highlighted, 10u);
}

TEST(LayerSection, GivesAllValuesAsATableToo) {
  auto report = sample_report();
  report.models.resize(2);
  const auto section = section_of(html(report), "layers");

  const auto table = section.substr(section.find("<details>"));
  EXPECT_EQ(count(table, "scope=\"row\""), 30u);
  EXPECT_EQ(count(table, "<td>"), 210u);
  EXPECT_TRUE(
      holds(table, "<td>" + significant(report.models[1].sites[100].relative_error, 4) + "</td>"));
}

TEST(LayerSection, ShowsLayersThatAreMissingNotFiniteOrOutsideTheBlocks) {
  auto report = sample_report();
  report.models.resize(2);
  auto& sites = report.models[1].sites;
  sites[0].relative_error = NAN;
  sites.erase(sites.begin() + 7);  // q_proj of block 1
  sites.push_back({"lm_head", -1, "lm_head", 0.31, 4.5});

  const auto page = html(report);

  EXPECT_EQ(MarkupChecker::fault(page), "");
  const auto section = section_of(page, "layers");
  EXPECT_TRUE(holds(section, "<title>model.layers.0.self_attn.q_proj: NaN"));
  EXPECT_TRUE(holds(section, "class=\"bad\""));
  EXPECT_FALSE(std::regex_search(section, std::regex(" (d|x|y)=\"[^\"]*(nan|NaN|inf)")));
  EXPECT_TRUE(holds(section, "the error is not a finite number"));
  EXPECT_TRUE(holds(section, "<th scope=\"row\">1</th><td></td>"));
  EXPECT_TRUE(holds(section, "lm_head: 0.31, 4.5 bits/weight"));
}

TEST(LayerSection, ShowsTheMeanAndTheLargestOfABlocksExperts) {
  auto report = sample_report();
  report.models.resize(2);
  auto& variant = report.models[1];
  variant.sites = {{"e.0", 3, "up", 0.25, 4}, {"e.1", 3, "up", 0.75, 4}};

  const auto section = section_of(html(report), "layers");

  EXPECT_TRUE(holds(
      section, "<title>2 sites of block 3: mean 0.5; largest e.1: 0.75, 4 bits/weight</title>"));
  EXPECT_TRUE(holds(section, "the bar is their mean, the line the largest"));
  EXPECT_EQ(count(section, "class=\"largest\""), 1u);
}

TEST(LayerSection, KeepsBarsInsideTheirPanelForAnyNumberOfBlocks) {
  for (const int num_blocks : {1, 2, 80, 126}) {
    auto report = sample_report();
    report.models.resize(2);
    report.models[1].sites.clear();
    add_sites(report.models[1], num_blocks, 0.1);

    const auto section = section_of(html(report), "layers");

    double rightmost = 0;
    const std::regex bar("<path d=\"M([0-9.]+) 99V([0-9.]+)H([0-9.]+)V99z\"/>");
    int num_bars = 0;
    for (std::sregex_iterator match(section.begin(), section.end(), bar), end; match != end;
         ++match, ++num_bars) {
      const double left = std::stod((*match)[1]), top = std::stod((*match)[2]),
                   right = std::stod((*match)[3]);
      EXPECT_GE(left, 36);
      EXPECT_GE(top, 26);
      EXPECT_LE(right, 228);
      EXPECT_GT(right - left, 0.7);
      rightmost = std::max(rightmost, right);
    }
    EXPECT_EQ(num_bars, 7 * num_blocks);
    EXPECT_GT(rightmost, num_blocks < 80 ? 36 : 220);
    EXPECT_LT(rightmost, num_blocks < 80 ? 36 + 30 * num_blocks : 228);  // few bars stay together
  }
}

TEST(LayerSection, TakesAnyBlockNumbers) {
  auto report = sample_report();
  report.models[1].sites = {
      {"a", 0, "q", 0.1, 4}, {"b", 2147483647, "q", 0.2, 4}, {"c", -2147483647, "q", 0.2, 4}};

  const auto page = html(report);

  EXPECT_EQ(MarkupChecker::fault(page), "");
  EXPECT_TRUE(holds(page, "<title>b: 0.2, 4 bits/weight</title>"));
}

TEST(FilesSection, ListsEveryFileWithItsCheck) {
  auto report = sample_report();
  report.models[2].files[0].check = "";
  const auto section = section_of(html(report), "files");

  EXPECT_TRUE(holds(section, "<th scope=\"row\">w4</th><td>gguf Q4_0</td>"));
  EXPECT_TRUE(holds(section, "runs/<wbr/>a/<wbr/>export/<wbr/>w4.<wbr/>gguf"));
  EXPECT_TRUE(holds(section, "116,509,538 bytes"));
  EXPECT_EQ(count(section, "re-read, 272 tensors"), 2u);
  EXPECT_EQ(count(section, "not checked"), 1u);
}

TEST(StagesSection, DrawsSharesOfTheWholeTime) {
  const auto section = section_of(html(sample_report()), "stages");

  EXPECT_TRUE(holds(section, data(312.4, "5 min 12 s") + "</td><td class=\"amount\">21.0 %</td>"));
  EXPECT_TRUE(holds(section, "<rect width=\"21.00\" height=\"8\"/>"));
  EXPECT_TRUE(holds(section, "<th scope=\"row\">between stages</th>"));
  EXPECT_TRUE(holds(section, ">4.2 %<"));
}

TEST(StagesSection, TakesTimesThatDoNotAddUp) {
  auto report = sample_report();
  report.seconds = 10;
  report.stage_seconds = {{"a", 30}, {"b", NAN}, {"c", 10}};

  const auto section = section_of(html(report), "stages");

  EXPECT_TRUE(holds(section, ">75.0 %<"));
  EXPECT_FALSE(holds(section, "between stages"));
  EXPECT_FALSE(holds(section, "width=\"NaN"));
}

TEST(ProvenanceSection, SaysHowToRepeatTheRun) {
  const auto section = section_of(html(sample_report()), "provenance");

  EXPECT_TRUE(holds(section, "<code>qtk run configs/sweep.yaml --set seed=7</code>"));
  EXPECT_TRUE(holds(section, "<code>quantizer:\n  use: affine\n</code>"));
  for (const char* fact :
       {"<dd>models/smollm2 (xxh3 3f9a61c0)</dd>", "<dd>persuasion.txt (xxh3 77c1d2e9)</dd>",
        "<dd>NVIDIA H100, LibTorch 2.11.0</dd>"}) {
    EXPECT_TRUE(holds(section, fact)) << fact;
  }
}

TEST(RunReportHtml, SaysInWordsWhatAnEmptyRunLacks) {
  const auto page = html(RunReport{});

  EXPECT_EQ(MarkupChecker::fault(page), "");
  for (const char* words :
       {"unnamed run", "The run produced no model.", "Start not recorded",
        "Nothing was measured that could be drawn", "No errors of single layers were recorded.",
        "No files were exported.", "No stage was timed.", "<dd>not recorded</dd>",
        "The command was not recorded.", "The configuration was not recorded."}) {
    EXPECT_TRUE(holds(page, words)) << words;
  }
}

TEST(RunReportHtml, ShowsASingleModel) {
  auto report = sample_report();
  report.models.resize(1);

  const auto page = html(report);

  EXPECT_EQ(MarkupChecker::fault(page), "");
  EXPECT_TRUE(holds(page, "One model and no variant of it: base"));
  EXPECT_EQ(count(section_of(page, "tradeoff"), "<svg"), 2u);
}

TEST(RunReportHtml, MarksFiguresThatAreNotFinite) {
  auto report = sample_report();
  report.models[0].quality[1].value = HUGE_VAL;
  report.models[3].quality[0].value = NAN;
  report.models[3].agreement->kl_mean = NAN;
  report.models[3].bits_per_weight = NAN;
  report.models[3].tokens_per_second = NAN;

  const auto page = html(report);

  EXPECT_EQ(MarkupChecker::fault(page), "");
  EXPECT_GE(count(page, "<strong class=\"bad\">NaN</strong>"), 2u);
  EXPECT_TRUE(holds(page, "<strong class=\"bad\">inf</strong>"));
  EXPECT_TRUE(holds(page, "no ratio to base"));
  EXPECT_FALSE(holds(page, "value=\"NaN\""));
}

}  // namespace
}  // namespace qtk::report
