#include "phase_codebook.hpp"

#include <ATen/ATen.h>

#include <numbers>

namespace qtk::fairy2i {
namespace {

constexpr double kPi = std::numbers::pi;

at::Tensor mean_where(const at::Tensor& values, const at::Tensor& mask) {
  const at::Tensor count = mask.sum().clamp_min(1);
  return ((values * mask).sum() / count).clamp_min(1e-6);
}

ComplexMatrix operator-(const ComplexMatrix& a, const ComplexMatrix& b) {
  return {a.re - b.re, a.im - b.im};
}
ComplexMatrix operator+(const ComplexMatrix& a, const ComplexMatrix& b) {
  return {a.re + b.re, a.im + b.im};
}

/// At zero, where the phase has no derivative, it is that of 1.
at::Tensor phase(const ComplexMatrix& m) {
  const at::Tensor is_zero = m.re.eq(0).logical_and(m.im.eq(0));
  return at::atan2(m.im, at::where(is_zero, at::ones_like(m.re), m.re));
}

ComplexMatrix soft_stage(const ComplexMatrix& m, const SoftForm& form) {
  at::Tensor scales = stage_scales(m, sectors(m));
  if (!form.has_scale_gradient) scales = scales.detach();
  const at::Tensor angles = at::tensor({0.0, kPi / 2, kPi, -kPi / 2}, m.re.options());
  const at::Tensor delta = (phase(m).unsqueeze(-1) - angles + kPi).remainder(2 * kPi) - kPi;
  const auto p = at::softmax(delta.square() * (-1 / form.temperature), -1).unbind(-1);
  return {(p[0] - p[2]) * scales[0], (p[1] - p[3]) * scales[1]};
}

ComplexMatrix soft_matrix(const ComplexMatrix& m, const SoftForm& form) {
  ComplexMatrix sum = soft_stage(m, form);
  for (int stage = 1; stage < form.stages; ++stage) sum = sum + soft_stage(m - sum, form);
  return sum;
}

}  // namespace

WidelyLinear split(const at::Tensor& w_OI) {
  const auto rows = w_OI.chunk(2, 0);
  const auto top = rows[0].chunk(2, 1), bottom = rows[1].chunk(2, 1);
  const at::Tensor &a11 = top[0], &a12 = top[1], &a21 = bottom[0], &a22 = bottom[1];
  return {{(a11 + a22) / 2, (a21 - a12) / 2}, {(a11 - a22) / 2, (a12 + a21) / 2}};
}

at::Tensor join(const WidelyLinear& parts) {
  const ComplexMatrix &u = parts.u, &v = parts.v;
  return at::cat({at::cat({v.re + u.re, v.im - u.im}, 1), at::cat({v.im + u.im, u.re - v.re}, 1)},
                 0);
}

at::Tensor sectors(const ComplexMatrix& m) {
  const at::Tensor re = m.re.detach(), im = m.im.detach();
  const at::Tensor below = im<-re, above = im> - re;  // of the diagonal from real- imag+
  const at::Tensor is_zero = re.eq(0).logical_and(im.eq(0));
  const at::Tensor is_plus = below.logical_not().logical_and(im < re).logical_or(is_zero);
  const at::Tensor is_imag_plus = (im >= re).logical_and(above);
  const at::Tensor is_imag_minus = (im <= re).logical_and(below);
  // The rest is -1. Sums of flags, so that no branch depends on data.
  const at::Tensor is_minus =
      is_plus.logical_or(is_imag_plus).logical_or(is_imag_minus).logical_not();
  return (is_imag_plus.to(at::kByte) + is_minus.to(at::kByte) * 2 +
          is_imag_minus.to(at::kByte) * 3);
}

at::Tensor stage_scales(const ComplexMatrix& m, const at::Tensor& sectors) {
  const at::Tensor is_imaginary = sectors.remainder(2).to(m.re.scalar_type());
  return at::stack(
      {mean_where(m.re.abs(), 1 - is_imaginary), mean_where(m.im.abs(), is_imaginary)});
}

ComplexMatrix hard_value(const at::Tensor& sectors, const at::Tensor& scales) {
  const auto sign = [&](int plus, int minus) {
    return sectors.eq(plus).to(scales.scalar_type()) - sectors.eq(minus).to(scales.scalar_type());
  };
  return {sign(0, 2) * scales[0], sign(1, 3) * scales[1]};
}

at::Tensor soft_weight(const at::Tensor& w_OI, const SoftForm& form) {
  const WidelyLinear parts = split(w_OI);
  return join({soft_matrix(parts.u, form), soft_matrix(parts.v, form)});
}

}  // namespace qtk::fairy2i
