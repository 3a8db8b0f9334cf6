#include "report/summary_columns.hpp"

#include "report/number.hpp"
#include "report/sections.hpp"
#include "report/tradeoff.hpp"

#include <algorithm>
#include <cmath>
#include <set>

namespace qtk::report {
namespace {

Markup not_measured() { return absent("not measured"); }

Markup figure_value(double value, std::string_view shown) {
  if (std::isfinite(value)) return number(value, shown);
  return element("strong", {{"class", "bad"}}, shown);
}

Markup size_cell(const ModelResult& model, const ByteUnit& unit) {
  if (model.tensor_bytes <= 0) return absent("not written");
  return size_in_units(model.tensor_bytes, unit);
}

Markup share_cell(const ModelResult& model, const ModelResult& base) {
  if (model.tensor_bytes <= 0 || base.tensor_bytes <= 0) return absent("not known");
  const auto bytes = static_cast<double>(model.tensor_bytes);
  return text(significant(100 * bytes / static_cast<double>(base.tensor_bytes), 3) + " %");
}

Markup bits_cell(const ModelResult& model) {
  if (!(model.bits_per_weight > 0)) return absent("not known");
  return number(model.bits_per_weight, fixed(model.bits_per_weight, 2));
}

void add_size_columns(Columns& columns, const RunReport& report) {
  int64_t largest = 0;
  for (const auto& model : report.models) largest = std::max(largest, model.tensor_bytes);
  const auto unit = ByteUnit::for_sizes_up_to(largest);
  const auto* base = &report.models.front();
  const auto add = [&](const std::string& title, auto cell) {
    columns.push_back({"Tensors", title, title, cell});
  };
  add("size", [unit](const ModelResult& model) { return size_cell(model, unit); });
  add("of base", [base](const ModelResult& model) { return share_cell(model, *base); });
  add("bits per weight", bits_cell);
}

Markup quality_cell(const QualityFigure* figure, const QualityFigure* base) {
  if (figure == nullptr) return not_measured();
  auto cell = figure_value(figure->value, measured(figure->value, figure->standard_error));
  if (base == nullptr) return cell;
  const double ratio = figure->value / base->value;
  if (!std::isfinite(ratio)) return cell + element("small", {}, "no ratio to base");
  return cell + element("small", {}, text("\u00d7 ") + number(ratio, significant(ratio, 4)));
}

void add_quality_columns(Columns& columns, const RunReport& report) {
  const auto* base = &report.models.front();
  for (const auto& protocol : protocols_of(report)) {
    const auto title = protocol_name(protocol);
    columns.push_back({"Perplexity \u00b1 standard error, ratio to base", title, title,
                       [protocol, base](const ModelResult& model) {
                         return quality_cell(figure_of(model, protocol),
                                             figure_of(*base, protocol));
                       }});
  }
}

std::string agreement_protocols(const RunReport& report) {
  std::set<std::string> protocols;
  for (const auto& model : report.models) {
    if (model.agreement && !model.agreement->protocol.empty())
      protocols.insert(model.agreement->protocol);
  }
  std::string joined;
  for (const auto& protocol : protocols) joined += (joined.empty() ? "" : ", ") + protocol;
  return joined;
}

void add_agreement_columns(Columns& columns, const RunReport& report) {
  const auto has_agreement = [](const ModelResult& model) { return model.agreement.has_value(); };
  if (std::none_of(report.models.begin(), report.models.end(), has_agreement)) return;
  const auto protocols = agreement_protocols(report);
  const auto group =
      "Agreement with base: KL in nat/token" + (protocols.empty() ? "" : " (" + protocols + ")");
  const auto* base = &report.models.front();
  const auto add = [&](const std::string& title, const std::string& label, auto value_cell) {
    columns.push_back({group, title, label, [=](const ModelResult& model) {
                         if (model.agreement) return value_cell(*model.agreement);
                         return &model == base ? absent("the reference") : not_measured();
                       }});
  };
  const auto add_divergence = [&](const std::string& title, double Agreement::*member) {
    add(title, "KL " + title, [member](const Agreement& agreement) {
      return figure_value(agreement.*member, significant(agreement.*member, 3));
    });
  };
  add_divergence("mean", &Agreement::kl_mean);
  add_divergence("median", &Agreement::kl_median);
  add_divergence("p99", &Agreement::kl_p99);
  add_divergence("max", &Agreement::kl_max);
  const std::string same_top1 = "same top\u20111";  // a hyphen at which no line breaks
  add(same_top1, same_top1, [](const Agreement& agreement) {
    return figure_value(agreement.top1, fixed(100 * agreement.top1, 1) + " %");
  });
}

Markup speed_cell(const ModelResult& model, const ModelResult& base) {
  const double speed = model.tokens_per_second;
  if (!(speed > 0)) return not_measured();
  const bool is_countable = speed < 1e15;
  const auto cell = figure_value(
      speed, is_countable && speed >= 100 ? grouped(std::llround(speed)) : significant(speed, 3));
  if (!(base.tokens_per_second > 0)) return cell;
  return cell + element("small", {}, "\u00d7 " + significant(speed / base.tokens_per_second, 3));
}

void add_speed_column(Columns& columns, const RunReport& report) {
  const auto is_timed = [](const ModelResult& model) { return model.tokens_per_second > 0; };
  if (std::none_of(report.models.begin(), report.models.end(), is_timed)) return;
  const auto* base = &report.models.front();
  columns.push_back({"", "Tokens/s", "Tokens/s",
                     [base](const ModelResult& model) { return speed_cell(model, *base); }});
}

}  // namespace

Columns summary_columns(const RunReport& report) {
  Columns columns;
  add_size_columns(columns, report);
  add_quality_columns(columns, report);
  add_agreement_columns(columns, report);
  add_speed_column(columns, report);
  return columns;
}

}  // namespace qtk::report
