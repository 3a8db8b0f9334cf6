#include "report/run_report.hpp"

#include "report/html.hpp"
#include "report/number.hpp"
#include "report/sections.hpp"
#include "report/stylesheet.hpp"
#include "report/tradeoff.hpp"

namespace qtk::report {
namespace {

std::string title_of(const RunReport& report) {
  return report.name.empty() ? "unnamed run" : report.name;
}

Markup head(const RunReport& report) {
  return element(
      "head", {},
      empty_element("meta", {{"charset", "utf-8"}}) +
          empty_element(
              "meta", {{"name", "viewport"}, {"content", "width=device-width, initial-scale=1"}}) +
          empty_element("meta", {{"name", "description"}, {"content", summary_sentence(report)}}) +
          element("title", {}, title_of(report) + " \u2013 qtk") + stylesheet());
}

Markup page_header(const RunReport& report) {
  // A date or a duration is not torn at the end of a line.
  auto when = element("span", {{"class", "whole"}},
                      report.started.empty() ? "Start not recorded" : "Started " + report.started);
  if (report.seconds > 0) {
    when += text(", ") + element("span", {{"class", "whole"}},
                                 text("took ") + number(report.seconds, duration(report.seconds)));
  }
  return element("header", {},
                 element("h1", {}, title_of(report)) +
                     element("p", {{"class", "lead"}}, summary_sentence(report)) +
                     element("p", {{"class", "when"}}, when));
}

}  // namespace

std::string html(const RunReport& report) {
  const auto main =
      element("main", {},
              page_header(report) + summary_section(report) + tradeoff_section(report) +
                  training_section(report) + sensitivity_section(report) + layer_section(report) +
                  files_section(report) + stages_section(report) + provenance_section(report));
  const auto page = element("html", {{"lang", "en"}}, head(report) + element("body", {}, main));
  return "<!DOCTYPE html>\n" + page.str() + "\n";
}

}  // namespace qtk::report
