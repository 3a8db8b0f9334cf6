#include "report/bar_panel.hpp"
#include "report/number.hpp"
#include "report/sections.hpp"
#include "report/site_errors.hpp"
#include "report/svg.hpp"

#include <algorithm>
#include <cmath>
#include <set>

namespace qtk::report {
namespace {

constexpr Box kErrorPlot = {36, 26, 228, 99};
constexpr size_t kNumWorst = 10;

/// What the panels of one variant share.
struct Panels {
  const ModelResult* variant = nullptr;
  size_t index = 0;  // in RunReport::models
  Axis errors;
  int first_block = 0;
  int last_block = 0;
  std::set<const SiteError*> worst;

  double slot() const {
    return std::min((kErrorPlot.right - kErrorPlot.left) / (1.0 + last_block - first_block),
                    kWidestSlot);
  }
  double at_block(int block) const {
    return kErrorPlot.left + (static_cast<double>(block) - first_block + 0.5) * slot();
  }
};

Panels panels_of(const ModelResult& variant, size_t index) {
  Panels panels{&variant, index, Axis::from_zero(largest_error(variant.sites), 4)};
  std::set<int> blocks;
  for (const auto& site : variant.sites) {
    if (site.block >= 0) blocks.insert(site.block);
  }
  if (!blocks.empty()) {
    panels.first_block = *blocks.begin();
    panels.last_block = *blocks.rbegin();
  }
  for (const auto* site : worst_sites(variant.sites, kNumWorst)) panels.worst.insert(site);
  return panels;
}

std::string tooltip(const SiteError& site) {
  auto words = site.site + ": " + exact(site.relative_error);
  if (site.bits_per_weight > 0) words += ", " + exact(site.bits_per_weight) + " bits/weight";
  return words;
}

std::string tooltip(const BlockErrors& block) {
  if (block.sites.size() == 1) return tooltip(*block.sites.front());
  return std::to_string(block.sites.size()) + " sites of block " + std::to_string(block.block) +
         ": mean " + exact(block.mean()) + "; largest " + tooltip(block.worst());
}

void draw_block(Drawing& drawing, const Panels& panels, const BlockErrors& block) {
  const double middle = panels.at_block(block.block);
  const double half = std::max(std::min(panels.slot() * 0.8, kWidestBar), 0.8) / 2;
  const double mean = block.mean();
  const auto height = [&](double error) {
    return kErrorPlot.bottom -
           panels.errors.fraction(std::max(error, 0.0)) * (kErrorPlot.bottom - kErrorPlot.top);
  };
  const double top = std::isfinite(mean) ? height(mean) : kErrorPlot.bottom;
  drawing.bar({middle - half, top, middle + half, kErrorPlot.bottom}, kErrorPlot.top,
              tooltip(block));
  if (!std::isfinite(mean)) {
    drawing.label({middle, kErrorPlot.bottom - 3}, Anchor::kMiddle, "\u00d7", "bad");
  } else if (block.sites.size() > 1) {
    const double y = height(block.worst().relative_error);
    drawing.line({middle - half, y}, {middle + half, y}, "largest");
  }
}

void draw_blocks_axis(Drawing& drawing, const Panels& panels) {
  drawing.line({kErrorPlot.left, kErrorPlot.bottom}, {kErrorPlot.right, kErrorPlot.bottom}, "axis");
  const int span = panels.last_block - panels.first_block;
  const int most_ticks = static_cast<int>((kErrorPlot.right - kErrorPlot.left) / 26);
  const int64_t step = integer_step(span, most_ticks);
  for (int64_t block = (panels.first_block + step - 1) / step * step; block <= panels.last_block;
       block += step) {
    drawing.label({panels.at_block(static_cast<int>(block)), kErrorPlot.bottom + 13},
                  Anchor::kMiddle, std::to_string(block), "tick");
  }
}

std::string name_of(const RoleErrors& role) { return role.role.empty() ? "no role" : role.role; }

Caption caption_of(const Panels& panels, const RoleErrors& role, size_t number) {
  const auto* worst = &role.blocks.front().worst();
  for (const auto& block : role.blocks) {
    if (block.worst().relative_error > worst->relative_error) worst = &block.worst();
  }
  return {"v" + std::to_string(panels.index) + "r" + std::to_string(number),
          name_of(role) + " of " + panels.variant->name + ": relative error by block",
          std::to_string(role.blocks.size()) + " blocks; mean " + significant(role.mean(), 3) +
              ", largest " + significant(worst->relative_error, 3) + " in block " +
              std::to_string(worst->block) + "."};
}

Markup role_panel(const Panels& panels, const RoleErrors& role, size_t number) {
  Drawing drawing(kPanelWidth, kPanelHeight);
  draw_y_axis(drawing, {kErrorPlot, {}, panels.errors});
  for (const bool is_worst : {false, true}) {
    Drawing bars(kPanelWidth, kPanelHeight);
    for (const auto& block : role.blocks) {
      const bool holds_worst = std::any_of(block.sites.begin(), block.sites.end(),
                                           [&](const auto* s) { return panels.worst.contains(s); });
      if (holds_worst == is_worst) draw_block(bars, panels, block);
    }
    drawing.add(
        element("g", {{"class", "bars " + series_class(panels.index) + (is_worst ? " worst" : "")}},
                bars.take()));
  }
  draw_blocks_axis(drawing, panels);
  const auto mean = "mean " + significant(role.mean(), 3);
  const double room = kErrorPlot.right - kErrorPlot.left - text_width(mean, kTickSize);
  drawing.label({kErrorPlot.left, 15}, Anchor::kStart, fitted(name_of(role), kRoleSize, room),
                "role");
  drawing.label({kErrorPlot.right, 15}, Anchor::kEnd, mean, "tick");
  return drawing.finish(caption_of(panels, role, number), "panel");
}

Markup error_value(double error, int digits) {
  if (std::isfinite(error)) return text(significant(error, digits));
  return element("strong", {{"class", "bad"}}, significant(error, digits));
}

Markup worst_table(const ModelResult& variant) {
  auto head = column_heading("Worst sites") + column_heading("block") +
              column_heading("relative error") + column_heading("bits/weight");
  Markup rows;
  for (const auto* site : worst_sites(variant.sites, kNumWorst)) {
    rows +=
        element("tr", {},
                row_heading(breakable(site->site)) +
                    element("td", {}, site->block < 0 ? "outside" : std::to_string(site->block)) +
                    element("td", {}, error_value(site->relative_error, 4)) +
                    element("td", {}, fixed(site->bits_per_weight, 2)));
  }
  return element(
      "div", {{"class", "wide"}},
      element("table",
              {{"class", "worst"},
               {"aria-label", "Sites of " + variant.name + " with the largest error"}},
              element("thead", {}, element("tr", {}, head)) + element("tbody", {}, rows)));
}

/// All values as text: one row a block, one column a role.
Markup values_table(const ModelResult& variant, const std::vector<RoleErrors>& roles) {
  auto head = column_heading("block");
  std::set<int> blocks;
  for (const auto& role : roles) {
    head += column_heading(name_of(role));
    for (const auto& block : role.blocks) blocks.insert(block.block);
  }
  Markup rows;
  for (const int index : blocks) {
    auto cells = row_heading(std::to_string(index));
    for (const auto& role : roles) {
      const auto block = std::lower_bound(role.blocks.begin(), role.blocks.end(), index,
                                          [](const auto& b, int i) { return b.block < i; });
      const bool is_there = block != role.blocks.end() && block->block == index;
      cells += element("td", {}, is_there ? error_value(block->mean(), 4) : Markup());
    }
    rows += element("tr", {}, cells);
  }
  const auto table =
      element("table", {{"aria-label", "Relative error of " + variant.name + " by block and role"}},
              element("thead", {}, element("tr", {}, head)) + element("tbody", {}, rows));
  return element("details", {},
                 element("summary", {}, "All values of " + variant.name) +
                     element("div", {{"class", "wide"}}, table));
}

Markup outside_blocks(const ModelResult& variant) {
  Markup items;
  for (const auto& site : variant.sites) {
    if (site.block < 0) items += element("li", {}, tooltip(site));
  }
  return items.empty() ? Markup()
                       : note("Outside the blocks:") + element("ul", {{"class", "notes"}}, items);
}

Markup variant_part(const ModelResult& variant, size_t index) {
  const auto panels = panels_of(variant, index);
  const auto roles = errors_by_role(variant.sites);
  Markup figures;
  for (size_t i = 0; i < roles.size(); ++i) figures += role_panel(panels, roles[i], i);
  auto heading =
      element("span", {{"class", "key " + series_class(index)}}, Markup()) + text(variant.name);
  if (!variant.description.empty())
    heading += text(" ") + element("small", {}, variant.description);
  auto part = element("h3", {}, heading);
  const auto panels_part =
      figures.empty() ? Markup() : element("div", {{"class", "panels"}}, figures);
  part += element("div", {{"class", "errors"}}, panels_part + worst_table(variant)) +
          outside_blocks(variant);
  if (!roles.empty()) part += values_table(variant, roles);
  return element("div", {{"class", "variant"}}, part);
}

/// What the panels show, with a sentence for each peculiarity that some variant has.
std::string reading_guide(const RunReport& report) {
  bool has_several = false, has_non_finite = false;
  for (const auto& model : report.models) {
    for (const auto& role : errors_by_role(model.sites)) {
      for (const auto& block : role.blocks) {
        has_several |= block.sites.size() > 1;
        has_non_finite |= !std::isfinite(block.mean());
      }
    }
  }
  std::string guide =
      "Relative error that quantization left in each weight, \u2016W \u2212 W\u2032\u2016 / "
      "\u2016W\u2016 "
      "(Frobenius norms), by block. The panels of a variant share a scale that starts at 0; other "
      "variants have their own. Full colour: the ten worst sites. A gap: no quantized layer there.";
  if (has_several) {
    guide +=
        " Where a block has several sites of a role, the bar is their mean, the line the largest.";
  }
  if (has_non_finite) guide += " \u00d7: the error is not a finite number.";
  return guide;
}

}  // namespace

Markup layer_section(const RunReport& report) {
  Markup parts;
  for (size_t i = 0; i < report.models.size(); ++i) {
    if (!report.models[i].sites.empty()) parts += variant_part(report.models[i], i);
  }
  if (parts.empty()) {
    return section("layers", "Error by layer", note("No errors of single layers were recorded."));
  }
  return section("layers", "Error by layer", note(reading_guide(report)) + parts);
}

}  // namespace qtk::report
