// How much each layer matters, by role and block.
#include "report/bar_panel.hpp"
#include "report/number.hpp"
#include "report/sections.hpp"
#include "report/svg.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace qtk::report {
namespace {

constexpr Box kSensitivityPlot = {44, 26, 228, 99};

using Sites = std::vector<const SiteSensitivity*>;

struct Role {
  std::string name;
  Sites sites;  // ascending blocks
};

/// In order of first appearance; sites outside the blocks are listed apart.
std::vector<Role> roles_of(const Sensitivity& sensitivity) {
  std::vector<Role> roles;
  for (const auto& site : sensitivity.sites) {
    if (site.block < 0) continue;
    auto role = std::find_if(roles.begin(), roles.end(),
                             [&](const auto& r) { return r.name == site.role; });
    if (role == roles.end()) role = roles.insert(roles.end(), {site.role, {}});
    role->sites.push_back(&site);
  }
  for (auto& role : roles)
    std::stable_sort(role.sites.begin(), role.sites.end(),
                     [](const auto* a, const auto* b) { return a->block < b->block; });
  return roles;
}

/// Shared by all panels, so that roles can be compared.
struct Scale {
  Axis values;
  int first_block = 0, last_block = 0;

  double slot() const {
    return std::min(
        (kSensitivityPlot.right - kSensitivityPlot.left) / (1.0 + last_block - first_block),
        kWidestSlot);
  }
  double at_block(int block) const {
    return kSensitivityPlot.left + (static_cast<double>(block) - first_block + 0.5) * slot();
  }
  double height(double value) const {
    return kSensitivityPlot.bottom -
           values.fraction(value) * (kSensitivityPlot.bottom - kSensitivityPlot.top);
  }
};

Scale scale_of(const Sensitivity& sensitivity) {
  Scale scale;
  double least = 0, largest = 0;
  bool is_first = true;
  for (const auto& site : sensitivity.sites) {
    if (site.block < 0) continue;
    scale.first_block = is_first ? site.block : std::min(scale.first_block, site.block);
    scale.last_block = is_first ? site.block : std::max(scale.last_block, site.block);
    is_first = false;
    if (!std::isfinite(site.value)) continue;
    const double error = std::isfinite(site.standard_error) ? site.standard_error : 0;
    least = std::min(least, site.value - (site.value < 0 ? error : 0));
    largest = std::max(largest, site.value + error);
  }
  scale.values =
      least < 0 ? Axis::linear(least, std::max(largest, 0.0), 4) : Axis::from_zero(largest, 4);
  return scale;
}

bool has_error(const SiteSensitivity& site) {
  return std::isfinite(site.standard_error) && site.standard_error > 0;
}

std::string tooltip(const SiteSensitivity& site) {
  auto words = site.site + ": " + significant(site.value, 4);
  if (has_error(site)) words += " \u00b1 " + significant(site.standard_error, 2);
  return words;
}

void draw_site(Drawing& drawing, const Scale& scale, const SiteSensitivity& site) {
  const double middle = scale.at_block(site.block);
  const double half = std::max(std::min(scale.slot() * 0.8, kWidestBar), 0.8) / 2;
  const double zero = scale.height(0);
  if (!std::isfinite(site.value)) {
    drawing.bar({middle - half, zero, middle + half, zero}, kSensitivityPlot.top, tooltip(site));
    drawing.label({middle, zero - 3}, Anchor::kMiddle, "\u00d7", "bad");
    return;
  }
  const double end = scale.height(site.value);
  drawing.bar({middle - half, end, middle + half, zero}, kSensitivityPlot.top, tooltip(site));
  if (!has_error(site)) return;
  const double high =
      std::max(scale.height(site.value + site.standard_error), kSensitivityPlot.top);
  const double low =
      std::min(scale.height(site.value - site.standard_error), kSensitivityPlot.bottom);
  drawing.line({middle, low}, {middle, high}, "whisker");
}

void draw_blocks(Drawing& drawing, const Scale& scale) {
  drawing.line({kSensitivityPlot.left, scale.height(0)}, {kSensitivityPlot.right, scale.height(0)},
               "axis");
  const int64_t step = integer_step(scale.last_block - scale.first_block, 7);
  for (int64_t block = (scale.first_block + step - 1) / step * step; block <= scale.last_block;
       block += step)
    drawing.label({scale.at_block(static_cast<int>(block)), kSensitivityPlot.bottom + 13},
                  Anchor::kMiddle, std::to_string(block), "tick");
}

double mean_of(const Sites& sites) {
  double sum = 0, count = 0;
  for (const auto* site : sites) {
    if (!std::isfinite(site->value)) continue;
    sum += site->value;
    ++count;
  }
  return count > 0 ? sum / count : 0;
}

Markup role_panel(const Scale& scale, const Role& role, size_t number) {
  Drawing drawing(kPanelWidth, kPanelHeight), bars(kPanelWidth, kPanelHeight);
  draw_y_axis(drawing, {kSensitivityPlot, {}, scale.values});
  for (const auto* site : role.sites) draw_site(bars, scale, *site);
  drawing.add(element("g", {{"class", "bars s1"}}, bars.take()));
  draw_blocks(drawing, scale);
  const auto name = role.name.empty() ? std::string("no role") : role.name;
  const auto mean = "mean " + significant(mean_of(role.sites), 3);
  const double room = kSensitivityPlot.right - kSensitivityPlot.left - text_width(mean, kTickSize);
  drawing.label({kSensitivityPlot.left, 15}, Anchor::kStart, fitted(name, kRoleSize, room), "role");
  drawing.label({kSensitivityPlot.right, 15}, Anchor::kEnd, mean, "tick");
  return drawing.finish({"sensitivity-" + std::to_string(number), name + ": sensitivity by block",
                         std::to_string(role.sites.size()) + " layers; " + mean + "."},
                        "panel");
}

/// All values, largest first: the order in which a budget of bits would be spent.
Markup values_table(const Sensitivity& sensitivity) {
  Sites sites;
  for (const auto& site : sensitivity.sites) sites.push_back(&site);
  std::stable_sort(sites.begin(), sites.end(), [](const auto* a, const auto* b) {
    return std::isfinite(a->value) && (!std::isfinite(b->value) || a->value > b->value);
  });
  Markup rows;
  for (const auto* site : sites)
    rows += element("tr", {},
                    row_heading(breakable(site->site)) +
                        element("td", {}, significant(site->value, 4)) +
                        element("td", {},
                                has_error(*site) ? significant(site->standard_error, 2)
                                                 : std::string("unknown")));
  const auto head =
      column_heading("layer") + column_heading("value") + column_heading("standard error");
  return element(
      "details", {},
      element("summary", {}, "All values") +
          element(
              "div", {{"class", "wide"}},
              element("table", {{"aria-label", "Sensitivity of every layer, largest first"}},
                      element("thead", {}, element("tr", {}, head)) + element("tbody", {}, rows))));
}

std::string reading_guide(const Sensitivity& sensitivity) {
  std::string guide = sensitivity.quantity.empty() ? "Sensitivity" : sensitivity.quantity;
  if (!sensitivity.estimator.empty()) guide += ", estimator " + sensitivity.estimator;
  guide += ", by block; all panels share one scale.";
  const auto& sites = sensitivity.sites;
  if (std::any_of(sites.begin(), sites.end(), has_error)) guide += " Lines: one standard error.";
  if (std::any_of(sites.begin(), sites.end(),
                  [](const auto& s) { return !std::isfinite(s.value); }))
    guide += " \u00d7: could not be measured.";
  return guide;
}

}  // namespace

Markup sensitivity_section(const RunReport& report) {
  if (!report.sensitivity || report.sensitivity->sites.empty()) return {};
  const auto& sensitivity = *report.sensitivity;
  const Scale scale = scale_of(sensitivity);
  Markup panels, outside;
  const auto roles = roles_of(sensitivity);
  for (size_t i = 0; i < roles.size(); ++i) panels += role_panel(scale, roles[i], i);
  for (const auto& site : sensitivity.sites)
    if (site.block < 0) outside += element("li", {}, tooltip(site));
  auto content = note(reading_guide(sensitivity)) + element("div", {{"class", "panels"}}, panels);
  if (!outside.empty())
    content += note("Outside the blocks:") + element("ul", {{"class", "notes"}}, outside);
  return section("sensitivity", "Sensitivity by layer", content + values_table(sensitivity));
}

}  // namespace qtk::report
