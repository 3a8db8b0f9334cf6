// Pressure and temperature of Hestia: compress, hold, anneal, solid. Sensitive layers stay soft for
// longer.
#include "trace_scores.hpp"

#include <qtk/plugin.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <string>

namespace qtk {
namespace {

struct HestiaAnnealOptions {
  double compress_ratio = 0.2;
  double hold_ratio = 0;
  double solid_ratio = 0;
  double init_temp = 0.3;
  double min_temp = 0;
  std::string style = "cosine";
  double alpha = 0.4;
  double kappa = 1.0;
  bool centred = false;
  std::string compat = "none";

  static void describe(OptionSet<HestiaAnnealOptions>& o);
  void validate() const;
};

void HestiaAnnealOptions::describe(OptionSet<HestiaAnnealOptions>& o) {
  using Options = HestiaAnnealOptions;
  o.field("compress_ratio", &Options::compress_ratio)
      .range(0, 1)
      .paper("rho")
      .original("compress_ratio")
      .doc("Share of the run in which the pressure rises from 0 to 1.");
  o.field("hold_ratio", &Options::hold_ratio)
      .range(0, 1)
      .original("1 - compress_ratio - anneal_ratio")
      .doc("Share of the run between compression and annealing, at the initial temperature.");
  o.field("solid_ratio", &Options::solid_ratio)
      .range(0, 1)
      .doc("Share of the run, at its end, with hard codes and straight-through gradients.");
  o.field("init_temp", &Options::init_temp)
      .range(0, 100)
      .paper("tau_init")
      .original("init_temp")
      .doc(
          "Temperature before annealing; 0: where the soft ternary codebook is closest to the "
          "identity, 0.350885.");
  o.field("min_temp", &Options::min_temp)
      .range(0, 100)
      .original("end_temp")
      .doc("Annealing does not go below this temperature.");
  o.field("style", &Options::style)
      .one_of({"cosine", "linear", "hessian"})
      .original("temp_decay_style")
      .doc("How the temperature falls; hessian is compat v0's cosine with the layers' factors.");
  o.field("alpha", &Options::alpha)
      .range(-10, 10)
      .paper("alpha")
      .original("alpha")
      .doc("A layer's temperature is multiplied by exp(alpha s), s in (0, 1) from its trace.");
  o.field("kappa", &Options::kappa)
      .range(0, 100)
      .paper("kappa")
      .original("kappa")
      .doc("Steepness of s in the normalised logarithm of the trace.");
  o.field("centred", &Options::centred)
      .doc("Use exp(alpha (s - mean s)), so that alpha leaves the mean temperature alone.");
  o.field("compat", &Options::compat)
      .one_of({"none", "v0"})
      .doc("v0 computes as the authors' first code did: exp(-alpha s), and its schedule.");
}

void HestiaAnnealOptions::validate() const {
  const bool is_v0 = compat == "v0";
  const double sum = compress_ratio + hold_ratio + solid_ratio;
  if (sum > 1 + 1e-12)
    throw ConfigError("compress_ratio, hold_ratio and solid_ratio add up to " +
                          std::to_string(sum) + ", expected at most 1",
                      "shorten one of them; what is left over is annealing");
  if (min_temp > 0 && min_temp >= (init_temp > 0 ? init_temp : 0.35))
    throw ConfigError("min_temp " + std::to_string(min_temp) + " is not below init_temp " +
                          std::to_string(init_temp),
                      "lower min_temp; 0 means no floor");
  if (style == "hessian" && !is_v0)
    throw ConfigError("style hessian exists in compat v0 only",
                      "set style: cosine, which applies the layers' factors at every step");
  if (is_v0 && (solid_ratio > 0 || min_temp > 0 || centred))
    throw ConfigError("compat v0 has no solid_ratio, min_temp or centred",
                      "leave them at their defaults, or set compat: none");
  if (is_v0 && sum >= 1)
    throw ConfigError("compat v0 needs some annealing: compress_ratio and hold_ratio add up to 1",
                      "shorten one of them");
}

std::string number_text(size_t count, const char* thing) {
  return std::to_string(count) + " " + thing + (count == 1 ? "" : "s");
}

class HestiaAnneal final : public Scheduler {
 public:
  HestiaAnneal(HestiaAnnealOptions options, RunContext& context)
      : options_(std::move(options)),
        is_v0_(options_.compat == "v0"),
        init_temp_(options_.init_temp > 0 ? options_.init_temp
                                          : hestia_anneal::closest_to_identity_temperature()),
        context_(context) {}

  std::vector<KnobSpec> knobs() const override {
    return {{.name = "temperature", .is_per_site = true, .initial = init_temp_},
            {.name = "pressure", .is_per_site = false, .initial = 0}};
  }

  void prepare(const SchedulePlan& plan) override;

  double value(std::string_view knob, int64_t step, const LinearSite* site) const override {
    const double total = static_cast<double>(std::max<int64_t>(1, total_steps_));
    const double run = static_cast<double>(step) / total;
    if (knob == "pressure") return pressure(run);
    if (knob != "temperature") throw Error("hestia_anneal has no knob '" + std::string(knob) + "'");
    const auto found = site ? factors_.find(site->name) : factors_.end();
    const double factor = found == factors_.end() ? 1 : found->second;
    return is_v0_ ? v0_temperature(run, factor) : temperature(run, factor);
  }

 private:
  // `run` is the share of the run that is done: step / total steps.
  double pressure(double run) const;
  double temperature(double run, double factor) const;
  double v0_temperature(double run, double factor) const;
  void set_factors(const std::vector<std::string>& names, const std::vector<double>& traces);
  double trace_floor(const std::vector<double>& traces) const;

  const HestiaAnnealOptions options_;
  const bool is_v0_;
  const double init_temp_;
  RunContext& context_;
  int64_t total_steps_ = 0;
  std::map<std::string, double, std::less<>> factors_;  // by site
};

void HestiaAnneal::prepare(const SchedulePlan& plan) {
  total_steps_ = plan.total_steps;
  factors_.clear();
  if (options_.alpha == 0) return;
  if (!plan.sensitivity) {
    context_.log().warn(
        "alpha has no effect: the run has no sensitivity table, every layer has "
        "the same temperature");
    return;
  }
  std::vector<std::string> names;
  std::vector<double> traces;
  size_t missing = 0;
  for (const LinearSite& site : plan.sites) {
    const auto entry = plan.sensitivity->find(site.name);
    if (entry && std::isfinite(entry->value))
      names.push_back(site.name), traces.push_back(entry->value);
    else
      ++missing;
  }
  if (names.empty() && !plan.sites.empty())
    throw DataError("the sensitivity table names none of the " +
                        number_text(plan.sites.size(), "quantized layer"),
                    "it was measured on another model: calibrate again");
  if (missing > 0)
    context_.log().warn(number_text(missing, "layer") +
                        " without a finite trace: their temperature is not scaled");
  set_factors(names, traces);
}

/// The Hessian is indefinite and its trace an estimate, so some are not positive; ln needs a
/// number. The first code's 1e-8 lies decades below every real trace and wrecks mean and spread.
double HestiaAnneal::trace_floor(const std::vector<double>& traces) const {
  if (is_v0_) return 1e-8;
  double least = std::numeric_limits<double>::infinity();
  size_t clamped = 0;
  for (const double trace : traces)
    if (trace > 0)
      least = std::min(least, trace);
    else
      ++clamped;
  if (clamped == 0) return least;
  if (!std::isfinite(least)) {
    context_.log().warn("no layer has a positive trace: every layer has the same temperature");
    return 1;
  }
  context_.log().warn(number_text(clamped, "layer") +
                      " with a trace of 0 or below: counted as the smallest positive one, " +
                      std::to_string(least));
  return least;
}

void HestiaAnneal::set_factors(const std::vector<std::string>& names,
                               const std::vector<double>& traces) {
  const auto scores = hestia_anneal::trace_scores(traces, options_.kappa, trace_floor(traces));
  double centre = 0;
  if (options_.centred)
    for (const double score : scores) centre += score / static_cast<double>(scores.size());
  const double alpha = is_v0_ ? -options_.alpha : options_.alpha;
  for (size_t i = 0; i < names.size(); ++i)
    factors_[names[i]] = std::exp(alpha * (scores[i] - centre));
}

double HestiaAnneal::pressure(double run) const {
  const double compress = options_.compress_ratio;
  if (!is_v0_ && run >= 1 - options_.solid_ratio) return 1;
  return compress == 0 || run >= compress ? 1 : run / compress;
}

/// tau_i(t) = max(min_temp, tau(t) exp(alpha s_i)), and 0 once solid.
double HestiaAnneal::temperature(double run, double factor) const {
  const double begin = options_.compress_ratio + options_.hold_ratio,
               end = 1 - options_.solid_ratio;
  if (run >= end) return 0;
  const double at = run <= begin ? 0 : (run - begin) / (end - begin);
  const double share =
      options_.style == "linear" ? 1 - at : 0.5 * (1 + std::cos(std::numbers::pi * at));
  return std::max(options_.min_temp, init_temp_ * share * factor);
}

/// The factor is dropped while annealing unless the style is hessian; past the end the curves go
/// on, the linear one below 0.
double HestiaAnneal::v0_temperature(double run, double factor) const {
  const double anneal = 1 - options_.compress_ratio - options_.hold_ratio;
  const double begin = 1 - anneal;
  if (run <= begin) return init_temp_ * factor;
  if (options_.style == "linear") return init_temp_ * (1 - run) / anneal;
  const double cosine =
      init_temp_ * 0.5 * (1 + std::cos(std::numbers::pi * (run - begin) / anneal));
  return options_.style == "hessian" ? cosine * factor : cosine;
}

}  // namespace
}  // namespace qtk

using qtk::HestiaAnneal;
using qtk::HestiaAnnealOptions;
QTK_PLUGIN(Scheduler, HestiaAnneal, HestiaAnnealOptions, .name = "hestia_anneal",
           .version = "0.1.0",
           .summary = "Hestia's pressure and temperature, per layer by Hessian trace",
           .paper = "Hestia, arXiv 2601.20745")
