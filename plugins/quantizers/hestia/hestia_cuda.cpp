#include "hestia_cuda.hpp"

#include "hestia_kernels.hpp"

#include <qtk/runtime/check.hpp>
#include <qtk/runtime/stream.hpp>

#include <ATen/ATen.h>

#include <algorithm>

namespace qtk::hestia {

#ifdef QTK_HAS_CUDA
namespace {

Shape shape_of(const at::Tensor& w_GN) { return {w_GN.size(0), w_GN.size(1)}; }

FormTerms terms_of(const Form& form) {
  FormTerms terms;
  terms.num_levels = static_cast<int>(form.levels.size());
  std::copy(form.levels.begin(), form.levels.end(), terms.levels);
  terms.is_ternary = form.is_ternary();
  terms.is_hard = form.is_hard();
  terms.inverse_temperature =
      form.is_hard() ? 0.0F : static_cast<float>(form.inverse_temperature());
  terms.pressure = static_cast<float>(form.pressure);
  terms.scale_width = form.scale_dtype == at::kHalf       ? ScaleWidth::kHalf
                      : form.scale_dtype == at::kBFloat16 ? ScaleWidth::kBfloat16
                                                          : ScaleWidth::kFloat;
  return terms;
}

/// Scales of groups whose weights do not fit in the registers of a warp; else undefined.
at::Tensor scale_if_needed(const at::Tensor& w_GN) {
  return is_scale_fused(shape_of(w_GN), w_GN.const_data_ptr<float>()) ? at::Tensor()
                                                                      : scale_cuda(w_GN);
}

/// The kernels read four values at once; a view into the middle of a tensor is copied.
at::Tensor aligned(const at::Tensor& tensor) {
  const at::Tensor whole = tensor.contiguous();
  return reinterpret_cast<uintptr_t>(whole.const_data_ptr()) % 16 == 0 ? whole : whole.clone();
}

const float* pointer(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.const_data_ptr<float>() : nullptr;
}

}  // namespace

bool has_kernel(const at::Tensor& w_GN, Semantics semantics) {
  return w_GN.is_cuda() && w_GN.scalar_type() == at::kFloat && semantics == Semantics::kReleased &&
         w_GN.numel() > 0;
}

bool has_kernel(const at::Tensor& w_GN, const Form& form) {
  return has_kernel(w_GN, form.semantics) && form.levels.size() <= kMostKernelLevels;
}

at::Tensor scale_cuda(const at::Tensor& w_GN) {
  const Shape shape = shape_of(w_GN);
  at::Tensor scale_G1 = at::empty({shape.groups, 1}, w_GN.options());
  const at::Tensor partial = at::empty({num_partial_sums(shape)}, w_GN.options());
  launch_scale(shape, w_GN.const_data_ptr<float>(), partial.mutable_data_ptr<float>(),
               scale_G1.mutable_data_ptr<float>(), current_stream(w_GN.device()));
  return scale_G1;
}

at::Tensor effective_weight_cuda(const at::Tensor& w_GN, const Form& form, at::ScalarType wanted) {
  if (form.pressure == 0) return w_GN.to(wanted);
  const bool is_bf16 = wanted == at::kBFloat16;
  const at::Tensor scale_G1 = scale_if_needed(w_GN);
  at::Tensor out_GN =
      at::empty(w_GN.sizes(), w_GN.options().dtype(is_bf16 ? at::kBFloat16 : at::kFloat));
  launch_effective_weight(shape_of(w_GN), terms_of(form), w_GN.const_data_ptr<float>(),
                          pointer(scale_G1), {out_GN.mutable_data_ptr(), is_bf16},
                          current_stream(w_GN.device()));
  return out_GN.to(wanted);
}

at::Tensor latent_gradient_cuda(const at::Tensor& gradient_GN, const at::Tensor& w_GN,
                                const Form& form) {
  const bool is_bf16 = gradient_GN.scalar_type() == at::kBFloat16;
  const at::Tensor g_GN = aligned(is_bf16 ? gradient_GN : gradient_GN.to(at::kFloat));
  const at::Tensor scale_G1 = scale_if_needed(w_GN);
  at::Tensor out_GN = at::empty_like(w_GN);
  launch_latent_gradient(shape_of(w_GN), terms_of(form), w_GN.const_data_ptr<float>(),
                         pointer(scale_G1), {g_GN.const_data_ptr(), is_bf16},
                         out_GN.mutable_data_ptr<float>(), current_stream(w_GN.device()));
  return out_GN;
}

#else

bool has_kernel(const at::Tensor&, Semantics) { return false; }
bool has_kernel(const at::Tensor&, const Form&) { return false; }

at::Tensor scale_cuda(const at::Tensor&) { QTK_CHECK(false, "built without CUDA"); }
at::Tensor effective_weight_cuda(const at::Tensor&, const Form&, at::ScalarType) {
  QTK_CHECK(false, "built without CUDA");
}
at::Tensor latent_gradient_cuda(const at::Tensor&, const at::Tensor&, const Form&) {
  QTK_CHECK(false, "built without CUDA");
}

#endif

}  // namespace qtk::hestia
