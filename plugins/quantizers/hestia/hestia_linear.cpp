#include "hestia_linear.hpp"

#include "effective_weight.hpp"

#include <qtk/runtime/check.hpp>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <latent_weight/gradient.hpp>

#include <algorithm>
#include <cmath>

namespace qtk::hestia {
namespace {

constexpr double kNearThreshold = 0.05;  // of the normalised weight

double knob_or(const Knobs& knobs, std::string_view name, double otherwise) {
  if (!knobs.has(name)) return otherwise;
  const double value = knobs.at(name);
  QTK_CHECK(std::isfinite(value), "knob ", name, " is not finite");
  return value;
}

}  // namespace

HestiaLinear::HestiaLinear(const Settings& settings, const LinearSite& site, LinearInit init)
    : LatentLinear(settings.codec, site, std::move(init)),
      settings_(settings),
      grouping_(latent::grouping_of(site, settings.codec->options().group_size)) {
  const CodecOptions& options = settings.codec->options();
  form_ = {
      .levels = options.levels, .semantics = options.semantics, .scale_dtype = options.scale_dtype};
}

void HestiaLinear::set(const Knobs& knobs) {
  const double temperature = std::max(0.0, knob_or(knobs, "temperature", 0)),
               pressure = knob_or(knobs, "pressure", 1);
  QTK_CHECK(pressure >= 0 && pressure <= 1, "pressure of ", site().name, " is ", pressure,
            ", expected 0 to 1");
  if (form_.temperature == temperature && form_.pressure == pressure) return;
  form_.temperature = temperature;
  form_.pressure = pressure;
  value_.reset();
}

void HestiaLinear::after_step(const StepInfo& info) {
  value_.reset();  // an optimizer that writes through raw pointers does not count versions
  if (settings_.metrics_every > 0 && (info.step + 1) % settings_.metrics_every == 0)
    measure(info.step);
}

at::Tensor HestiaLinear::effective_weight(at::ScalarType wanted) {
  if (!value_.defined() || value_version_ != latent()._version() ||
      value_.scalar_type() != wanted) {
    value_ = make_value(wanted);
    value_version_ = latent()._version();
  }
  // Captures shared data only: a second name of the latent weight that is no part of any graph.
  return latent::with_backward(latent(), value_,
                               [leaf = latent().detach(), version = value_version_,
                                grouping = grouping_, form = form_](const at::Tensor& gradient) {
                                 QTK_CHECK(leaf._version() == version,
                                           "a latent weight changed between forward and backward");
                                 return latent_gradient(gradient, leaf, grouping, form);
                               });
}

at::Tensor HestiaLinear::make_value(at::ScalarType wanted) const {
  const at::NoGradGuard no_grad;
  if (latent().scalar_type() == at::kDouble) wanted = at::kDouble;
  // By way of the codes, so that evaluation multiplies by weight() bit for bit.
  if (is_deployed() && (latent().is_cpu() || !latent::records_gradient(latent())))
    return settings_.codec->decode(site(), coded()).to(wanted);
  return hestia::effective_weight(latent().detach(), grouping_, form_, wanted).to(wanted);
}

void HestiaLinear::measure(int64_t step) {
  const at::NoGradGuard no_grad;
  const at::Tensor w_OI = latent().detach();
  const at::Tensor scale = group_scale(w_OI, grouping_, form_.semantics);
  const at::Tensor codes = nearest_code(w_OI, scale, grouping_, form_);
  const at::Tensor z_GN =
      w_OI.reshape({grouping_.count, grouping_.size}) / scale.reshape({grouping_.count, 1});
  at::Tensor near = at::zeros_like(z_GN, at::kBool);
  for (size_t k = 1; k < form_.levels.size(); ++k)
    near |= (z_GN - 0.5 * (form_.levels[k - 1] + form_.levels[k])).abs() < kNearThreshold;
  const auto zero = std::find(form_.levels.begin(), form_.levels.end(), 0.0);
  const bool has_zero = zero != form_.levels.end(), has_past = measured_codes_.defined();
  const at::Tensor nothing = at::zeros({}, near.options());
  const at::Tensor shares =
      at::stack(
          {near.to(at::kFloat).mean(),
           has_zero ? codes.eq(zero - form_.levels.begin()).to(at::kFloat).mean()
                    : nothing.to(at::kFloat),
           has_past ? codes.ne(measured_codes_).to(at::kFloat).mean() : nothing.to(at::kFloat)})
          .cpu();  // one synchronisation a layer, in measured steps only
  settings_.context->metric("near_threshold", shares[0].item<double>(), step);
  if (has_zero) settings_.context->metric("zero_fraction", shares[1].item<double>(), step);
  if (has_past) settings_.context->metric("code_flip_rate", shares[2].item<double>(), step);
  measured_codes_ = codes;
}

void HestiaLinear::save(StateWriter& out) const {
  if (!measured_codes_.defined()) return;
  const latent::CodedWeight coded{measured_codes_, at::zeros({1}), at::Tensor()};
  out.tensor("measured_codes", latent::pack(coded, layout()).tensors.at("codes"));
}

void HestiaLinear::load(StateReader& in) {
  measured_codes_.reset();
  value_.reset();
  if (!in.has("measured_codes")) return;
  measured_codes_ =
      latent::unpack_codes(in.tensor("measured_codes"), layout()).to(latent().device());
}

}  // namespace qtk::hestia
