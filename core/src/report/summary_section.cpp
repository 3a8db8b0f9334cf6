#include "report/number.hpp"
#include "report/sections.hpp"
#include "report/summary_columns.hpp"
#include "report/svg.hpp"
#include "report/tradeoff.hpp"

#include <algorithm>
#include <set>

namespace qtk::report {
namespace {

Markup heading_rows(const Columns& columns) {
  auto groups =
      element("th", {{"scope", "col"}, {"rowspan", "2"}, {"role", "columnheader"}}, "Model");
  Markup titles;
  for (size_t i = 0; i < columns.size(); ++i) {
    const auto& [group, title, label, cell] = columns[i];
    if (group.empty()) {
      groups +=
          element("th", {{"scope", "col"}, {"rowspan", "2"}, {"role", "columnheader"}}, title);
      continue;
    }
    titles += element("th", {{"scope", "col"}, {"role", "columnheader"}}, breakable(title));
    if (i > 0 && columns[i - 1].group == group) continue;
    const auto width = std::count_if(columns.begin(), columns.end(),
                                     [&](const Column& c) { return c.group == group; });
    groups += element(
        "th", {{"scope", "colgroup"}, {"colspan", std::to_string(width)}, {"role", "columnheader"}},
        group);
  }
  // Roles are spelt out because narrow screens lay the rows out as cards, which takes the table's
  // own meaning away.
  return element(
      "thead", {{"role", "rowgroup"}},
      element("tr", {{"role", "row"}}, groups) + element("tr", {{"role", "row"}}, titles));
}

Markup model_row(const ModelResult& model, size_t index, const Columns& columns, bool is_best) {
  auto name = element("span", {{"class", "key " + series_class(index)}}, Markup()) +
              element("b", {}, model.name);
  if (is_best) name += text(" ") + element("span", {{"class", "best"}}, "best trade-off");
  if (!model.description.empty()) name += element("small", {}, model.description);
  auto cells = element("th", {{"scope", "row"}, {"role", "rowheader"}}, name);
  for (const auto& column : columns) {
    cells += element("td", {{"role", "cell"}, {"data-label", column.label}},
                     element("span", {}, column.cell(model)));
  }
  return element("tr", {{"role", "row"}}, cells);
}

/// What a protocol of this name counts, or empty for a name not known here.
std::string protocol_meaning(const std::string& protocol) {
  if (protocol.starts_with("ppl_token/ctx=")) {
    return "concatenated text in windows of that many tokens that do not overlap, every token but "
           "a window's first predicted";
  }
  if (protocol.starts_with("ppl_llamacpp/"))
    return "as llama.cpp counts it: the second half of every window";
  if (protocol.starts_with("ppl_word/")) return "per word, as lm-evaluation-harness counts it";
  return {};
}

/// "117,974 predictions", or each model's own where they differ; empty if nobody counted.
std::string predictions(const RunReport& report, const std::string& protocol) {
  std::set<int64_t> counts;
  std::string listed;
  for (const auto& model : report.models) {
    const auto* figure = figure_of(model, protocol);
    if (figure == nullptr || figure->tokens <= 0) continue;
    counts.insert(figure->tokens);
    listed += (listed.empty() ? "" : ", ") + model.name + " " + grouped(figure->tokens);
  }
  if (counts.empty()) return {};
  if (counts.size() == 1) return grouped(*counts.begin()) + " predictions";
  return "predictions differ (" + listed + "), so the figures are not over the same text";
}

Markup protocol_note(const RunReport& report, const std::string& protocol) {
  auto words = protocol_meaning(protocol);
  const auto count = predictions(report, protocol);
  if (!words.empty() && !count.empty()) words += "; ";
  words += count;
  if (words.empty()) return {};
  return element("li", {}, element("code", {}, protocol_name(protocol)) + text(": " + words + "."));
}

Markup speed_note(const RunReport& report) {
  const auto is_timed = [](const ModelResult& model) { return model.tokens_per_second > 0; };
  if (std::none_of(report.models.begin(), report.models.end(), is_timed)) return {};
  auto setting = report.speed_protocol.empty() ? report.machine : report.speed_protocol;
  if (setting.empty()) setting = "device not recorded";
  return element(
      "li", {},
      "Tokens/s: forward pass of the evaluation, " + setting + "; the ratio is to the base model.");
}

Markup notes(const RunReport& report) {
  auto items = element(
      "li", {},
      "Sizes are the exact bytes of all tensors written. Bits per weight count scales and other "
      "metadata: of the quantized weights for a variant, of all weights for the base model.");
  for (const auto& protocol : protocols_of(report)) items += protocol_note(report, protocol);
  if (!protocols_of(report).empty()) {
    items += element(
        "li", {},
        "\u00b1 is one standard error over the text. All models read the same text, "
        "so their errors go together and a ratio is known better than the two errors suggest.");
  }
  items += speed_note(report);
  return element("ul", {{"class", "notes"}}, items);
}

}  // namespace

Markup summary_section(const RunReport& report) {
  if (report.models.empty())
    return section("summary", "Models", note("The run produced no model."));
  const auto columns = summary_columns(report);
  const auto* best = best_tradeoff(report);
  Markup rows;
  for (size_t i = 0; i < report.models.size(); ++i)
    rows += model_row(report.models[i], i, columns, &report.models[i] == best);
  const auto table =
      element("table",
              {{"class", "summary"},
               {"role", "table"},
               {"aria-label", "Size, quality and speed of every model"}},
              heading_rows(columns) + element("tbody", {{"role", "rowgroup"}}, rows));
  auto content = element("div", {{"class", "wide"}, {"tabindex", "0"}}, table);
  if (protocols_of(report).empty()) content += note("No perplexity was measured.");
  return section("summary", "Models", content + notes(report));
}

}  // namespace qtk::report
