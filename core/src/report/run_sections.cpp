#include "report/number.hpp"
#include "report/sections.hpp"

#include <algorithm>
#include <cmath>

namespace qtk::report {
namespace {

Markup table(std::string_view css, std::string_view label, const Markup& head, const Markup& rows) {
  return element(
      "div", {{"class", "wide"}},
      element("table", {{"class", std::string(css)}, {"aria-label", std::string(label)}},
              element("thead", {}, element("tr", {}, head)) + element("tbody", {}, rows)));
}

Markup file_row(const ModelResult& model, const ExportedFile& file, const ByteUnit& unit) {
  const auto size = file.bytes > 0 ? size_in_units(file.bytes, unit) : absent("size not known");
  return element("tr", {},
                 row_heading(model.name) + element("td", {}, file.format) +
                     element("td", {{"class", "path"}}, element("code", {}, breakable(file.path))) +
                     element("td", {{"class", "amount"}}, size) +
                     element("td", {}, file.check.empty() ? "not checked" : file.check));
}

/// A bar whose length is `share` of the width its cell has.
Markup share_bar(double share) {
  return element("svg",
                 {{"class", "share"},
                  {"viewBox", "0 0 100 8"},
                  {"preserveAspectRatio", "none"},
                  {"aria-hidden", "true"}},
                 empty_element("rect", {{"width", fixed(100 * share, 2)}, {"height", "8"}}));
}

Markup stage_row(const std::string& name, double seconds, double total) {
  const double share =
      total > 0 && std::isfinite(seconds) ? std::clamp(seconds / total, 0.0, 1.0) : 0;
  return element("tr", {},
                 row_heading(name) +
                     element("td", {{"class", "amount"}}, number(seconds, duration(seconds))) +
                     element("td", {{"class", "amount"}}, fixed(100 * share, 1) + " %") +
                     element("td", {{"class", "bar"}}, share_bar(share)));
}

void add_fact(Markup& list, std::string_view name, const std::string& value) {
  list += element("dt", {}, name) +
          element("dd", {}, value.empty() ? text("not recorded") : text(value));
}

}  // namespace

Markup section(const std::string& id, std::string_view heading, const Markup& content) {
  const auto heading_id = id + "-heading";
  return element("section", {{"id", id}, {"aria-labelledby", heading_id}},
                 element("h2", {{"id", heading_id}}, heading) + content);
}

Markup note(std::string_view content) { return element("p", {{"class", "note"}}, content); }

Markup column_heading(std::string_view content) {
  return element("th", {{"scope", "col"}}, content);
}

Markup row_heading(const Markup& content) { return element("th", {{"scope", "row"}}, content); }

Markup row_heading(std::string_view content) { return element("th", {{"scope", "row"}}, content); }

Markup size_in_units(int64_t bytes, const ByteUnit& unit) {
  const auto exact_bytes =
      element("data", {{"value", std::to_string(bytes)}}, grouped(bytes) + " bytes");
  return text(unit.in_decimal(bytes)) + element("small", {}, unit.in_binary(bytes)) +
         element("small", {}, exact_bytes);
}

Markup files_section(const RunReport& report) {
  int64_t largest = 0;
  for (const auto& model : report.models) {
    for (const auto& file : model.files) largest = std::max(largest, file.bytes);
  }
  Markup rows;
  const auto unit = ByteUnit::for_sizes_up_to(largest);
  for (const auto& model : report.models) {
    for (const auto& file : model.files) rows += file_row(model, file, unit);
  }
  if (rows.empty()) return section("files", "Exported files", note("No files were exported."));
  const auto head = column_heading("Model") + column_heading("Format") + column_heading("Path") +
                    column_heading("Size") + column_heading("Check");
  return section("files", "Exported files",
                 table("files", "Exported files and their checks", head, rows));
}

Markup stages_section(const RunReport& report) {
  if (report.stage_seconds.empty())
    return section("stages", "Time by stage", note("No stage was timed."));
  double sum = 0;
  for (const auto& [name, seconds] : report.stage_seconds)
    sum += std::isfinite(seconds) ? seconds : 0;
  const double total = std::max(sum, std::isfinite(report.seconds) ? report.seconds : 0);
  Markup rows;
  for (const auto& [name, seconds] : report.stage_seconds) rows += stage_row(name, seconds, total);
  // Below that the difference is the rounding and the starting of stages.
  if (total - sum > 0.01 * total) rows += stage_row("between stages", total - sum, total);
  const auto head = column_heading("Stage") + column_heading("time") + column_heading("share") +
                    column_heading("of " + duration(total));
  return section("stages", "Time by stage", table("stages", "Duration of every stage", head, rows));
}

Markup provenance_section(const RunReport& report) {
  Markup facts;
  add_fact(facts, "Model", report.model);
  add_fact(facts, "Data", report.data);
  add_fact(facts, "Machine", report.machine);
  auto content =
      element("dl", {}, facts) + element("h3", {}, "Run again") +
      (report.command.empty()
           ? note("The command was not recorded.")
           : element("pre", {{"tabindex", "0"}}, element("code", {}, report.command))) +
      element("h3", {}, "Configuration") +
      (report.configuration.empty()
           ? note("The configuration was not recorded.")
           : element("pre", {{"tabindex", "0"}}, element("code", {}, report.configuration)));
  return section("provenance", "How to repeat it", content);
}

}  // namespace qtk::report
