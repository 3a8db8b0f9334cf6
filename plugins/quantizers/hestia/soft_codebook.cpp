#include "soft_codebook.hpp"

#include <qtk/runtime/check.hpp>

#include <ATen/ATen.h>

#include <algorithm>

namespace qtk::hestia {
namespace {

constexpr double kV0TemperatureEpsilon = 1e-6;
constexpr double kLargestInverse = 1e30;  // times a weight still finite in fp32

at::Tensor levels_like(const at::Tensor& values, const Form& form) {
  return at::tensor(form.levels, values.options());
}

/// Rounded as the deployed scale is; formulas in fp64 are left exact.
at::Tensor as_deployed(const at::Tensor& scale_G1, const Form& form) {
  if (scale_G1.scalar_type() == at::kDouble) return scale_G1;
  return scale_G1.to(form.scale_dtype).to(scale_G1.scalar_type());
}

/// What every weight adds to its own gradient and to that of the scale: dH/dw at a fixed scale, and
/// dH/d gamma.
struct Slopes {
  at::Tensor own, scale;
};

Slopes slopes(const at::Tensor& z_GN, const Form& form) {
  if (form.is_hard()) {
    const at::Tensor code =
        levels_like(z_GN, form).index({nearest_code_ref(z_GN, form).to(at::kLong)});
    return {at::ones_like(z_GN), code};
  }
  const SoftValue soft = soft_value_ref(z_GN, form);
  return {soft.slope, soft.mean - z_GN * soft.slope};
}

}  // namespace

double Form::inverse_temperature() const {
  const double shift = semantics == Semantics::kV0 ? kV0TemperatureEpsilon : 0;
  return std::min(1 / (temperature + shift), kLargestInverse);
}

at::Tensor scale_ref(const at::Tensor& w_GN, Semantics semantics) {
  const at::Tensor mean = w_GN.abs().mean(1, /*keepdim=*/true);
  return semantics == Semantics::kV0 ? mean.clamp_min(kScaleEpsilon) : mean + kScaleEpsilon;
}

at::Tensor nearest_code_ref(const at::Tensor& z, const Form& form) {
  if (form.semantics == Semantics::kV0) return (z.round().clamp(-1, 1) + 1).to(at::kByte);
  at::Tensor code = at::zeros_like(z, at::kByte);
  // Above the middle between two codes the upper one is nearer; on it the lower one is taken.
  for (size_t k = 1; k < form.levels.size(); ++k)
    code += (z > 0.5 * (form.levels[k - 1] + form.levels[k])).to(at::kByte);
  return code;
}

SoftValue soft_value_ref(const at::Tensor& z, const Form& form) {
  QTK_CHECK(!form.is_hard(), "a soft value needs a temperature above 0");
  const double inverse = form.inverse_temperature();
  const at::Tensor c_K = levels_like(z, form);
  const at::Tensor p_K = at::softmax((z.unsqueeze(-1) - c_K).square() * -inverse, -1);
  const at::Tensor mean = (p_K * c_K).sum(-1);
  const at::Tensor variance = (p_K * (c_K - mean.unsqueeze(-1)).square()).sum(-1);
  return {mean, 2 * inverse * variance};
}

at::Tensor effective_weight_ref(const at::Tensor& w_GN, const Form& form) {
  if (form.pressure == 0) return w_GN.clone();
  const at::Tensor scale_G1 = scale_ref(w_GN, form.semantics);
  const at::Tensor z_GN = w_GN / scale_G1;
  const at::Tensor value =
      form.is_hard() ? levels_like(w_GN, form).index({nearest_code_ref(z_GN, form).to(at::kLong)}) *
                           as_deployed(scale_G1, form)
                     : soft_value_ref(z_GN, form).mean * scale_G1;
  return form.pressure == 1 ? value : w_GN + form.pressure * (value - w_GN);
}

at::Tensor latent_gradient_ref(const at::Tensor& gradient_GN, const at::Tensor& w_GN,
                               const Form& form) {
  const at::Tensor g_GN = gradient_GN.to(w_GN.scalar_type());
  const bool is_released = form.semantics == Semantics::kReleased;
  if (form.pressure == 0 || (is_released && form.is_hard())) return g_GN.clone();
  const at::Tensor scale_G1 = scale_ref(w_GN, form.semantics);
  const Slopes slope = slopes(w_GN / scale_G1, form);
  at::Tensor result = g_GN * (1 + form.pressure * (slope.own - 1));
  if (is_released) return result;
  const at::Tensor scale_gradient_G1 = (g_GN * slope.scale).sum(1, /*keepdim=*/true);
  const at::Tensor is_free_G1 = w_GN.abs().mean(1, true) > kScaleEpsilon;
  const double n = static_cast<double>(w_GN.size(1));
  return result + w_GN.sign() * (form.pressure / n * scale_gradient_G1 * is_free_G1);
}

}  // namespace qtk::hestia
