#include "report/tradeoff.hpp"

#include "report/number.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>

namespace qtk::report {
namespace {

std::span<const ModelResult> variants_of(const RunReport& report) {
  return std::span(report.models).subspan(std::min<size_t>(1, report.models.size()));
}

int64_t known_size(const ModelResult& model) {
  return model.tensor_bytes > 0 ? model.tensor_bytes : std::numeric_limits<int64_t>::max();
}

/// Perplexity of `model` over the base model's; NaN where either has no finite one.
double ratio_to_base(const ModelResult& model, const QualityFigure& base) {
  const auto* figure = figure_of(model, base.protocol);
  if (figure == nullptr || !std::isfinite(figure->value) || !(base.value > 0) ||
      !std::isfinite(base.value)) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  return figure->value / base.value;
}

const ModelResult* smallest_variant(const RunReport& report) {
  const auto variants = variants_of(report);
  const auto smallest =
      std::min_element(variants.begin(), variants.end(),
                       [](const auto& a, const auto& b) { return known_size(a) < known_size(b); });
  return smallest == variants.end() ? nullptr : &*smallest;
}

const ModelResult* closest_variant(const RunReport& report, const QualityFigure& base) {
  const ModelResult* closest = nullptr;
  for (const auto& variant : variants_of(report)) {
    const double ratio = ratio_to_base(variant, base);
    if (std::isfinite(ratio) && (closest == nullptr || ratio < ratio_to_base(*closest, base)))
      closest = &variant;
  }
  return closest;
}

/// "76.30 MB, 28.4 % of the base model's 269.06 MB", or empty if the size is not known.
std::string size_phrase(const RunReport& report, const ModelResult& variant) {
  const int64_t base_bytes = report.models.front().tensor_bytes;
  if (variant.tensor_bytes <= 0) return {};
  const auto unit = ByteUnit::for_sizes_up_to(std::max(base_bytes, variant.tensor_bytes));
  auto phrase = unit.in_decimal(variant.tensor_bytes);
  if (base_bytes <= 0) return phrase;
  const double share =
      100.0 * static_cast<double>(variant.tensor_bytes) / static_cast<double>(base_bytes);
  return phrase + ", " + significant(share, 3) + " % of the base model's " +
         unit.in_decimal(base_bytes);
}

std::string with_size(const RunReport& report, const ModelResult& variant) {
  const auto size = size_phrase(report, variant);
  return size.empty() ? "" : " in " + size;
}

std::string smallest_sentence(const RunReport& report) {
  const auto* smallest = smallest_variant(report);
  const auto size = size_phrase(report, *smallest);
  return size.empty() ? "." : "; the smallest variant is " + smallest->name + " with " + size + ".";
}

std::string single_model_sentence(const ModelResult& model) {
  auto sentence = "One model and no variant of it: " + model.name;
  if (model.tensor_bytes > 0) {
    sentence += ", " + ByteUnit::for_sizes_up_to(model.tensor_bytes).in_decimal(model.tensor_bytes);
  }
  if (model.quality.empty()) return sentence + ".";
  const auto& figure = model.quality.front();
  return sentence + ", perplexity " + measured(figure.value, figure.standard_error) + " (" +
         protocol_name(figure.protocol) + ").";
}

/// "20.90 against 20.10 (+4.0 %, ppl_token/ctx=512)"
std::string comparison(const ModelResult& variant, const QualityFigure& base) {
  const double value = figure_of(variant, base.protocol)->value;
  return significant(value, 4) + " against " + significant(base.value, 4) + " (" +
         relative_change(base.value, value) + ", " + protocol_name(base.protocol) + ")";
}

}  // namespace

const QualityFigure* figure_of(const ModelResult& model, std::string_view protocol) {
  const auto found = std::find_if(model.quality.begin(), model.quality.end(),
                                  [&](const auto& figure) { return figure.protocol == protocol; });
  return found == model.quality.end() ? nullptr : &*found;
}

std::string protocol_name(const std::string& protocol) {
  return protocol.empty() ? "protocol not recorded" : protocol;
}

std::vector<std::string> protocols_of(const RunReport& report) {
  std::vector<std::string> protocols;
  for (const auto& model : report.models) {
    for (const auto& figure : model.quality) {
      if (std::find(protocols.begin(), protocols.end(), figure.protocol) == protocols.end()) {
        protocols.push_back(figure.protocol);
      }
    }
  }
  return protocols;
}

const ModelResult* best_tradeoff(const RunReport& report) {
  if (report.models.empty() || report.models.front().quality.empty()) return nullptr;
  const auto& base = report.models.front();
  const ModelResult* best = nullptr;
  for (const auto& variant : variants_of(report)) {
    const bool is_close = ratio_to_base(variant, base.quality.front()) <= 1 + report.tolerance;
    const bool is_smaller = variant.tensor_bytes < known_size(base);
    if (is_close && is_smaller && (best == nullptr || known_size(variant) < known_size(*best)))
      best = &variant;
  }
  return best;
}

std::string summary_sentence(const RunReport& report) {
  if (report.models.empty()) return "The run produced no model.";
  const auto& base = report.models.front();
  if (report.models.size() == 1) return single_model_sentence(base);
  if (base.quality.empty())
    return "The perplexity of the base model was not measured" + smallest_sentence(report);
  const auto& figure = base.quality.front();
  if (!std::isfinite(figure.value)) {
    return "The base model's perplexity is " + significant(figure.value, 4) + " (" +
           protocol_name(figure.protocol) + "), so nothing can be compared with it" +
           smallest_sentence(report);
  }
  const auto within =
      "within " + trimmed(100 * report.tolerance, 2) + " % of the base model's perplexity";
  if (const auto* best = best_tradeoff(report)) {
    return best->name + " is the smallest variant " + within + ": " + comparison(*best, figure) +
           with_size(report, *best) + ".";
  }
  if (const auto* closest = closest_variant(report, figure)) {
    return "No smaller variant stays " + within + "; the closest is " + closest->name + ": " +
           comparison(*closest, figure) + with_size(report, *closest) + ".";
  }
  return "No variant has a finite perplexity to compare with the base model's " +
         significant(figure.value, 4) + " (" + protocol_name(figure.protocol) + ")" +
         smallest_sentence(report);
}

}  // namespace qtk::report
