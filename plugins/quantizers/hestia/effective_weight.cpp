#include "effective_weight.hpp"

#include "hestia_cpu.hpp"
#include "hestia_cuda.hpp"

#include <ATen/ATen.h>

namespace qtk::hestia {
namespace {

at::Tensor grouped(const at::Tensor& tensor_OI, const latent::Grouping& grouping) {
  return tensor_OI.reshape({grouping.count, grouping.size});
}

}  // namespace

at::Tensor group_scale(const at::Tensor& latent_OI, const latent::Grouping& grouping,
                       Semantics semantics) {
  const at::Tensor w_GN = grouped(latent_OI, grouping);
  const at::Tensor scale_G1 = w_GN.is_cpu()                 ? scale_cpu(w_GN, semantics)
                              : has_kernel(w_GN, semantics) ? scale_cuda(w_GN)
                                                            : scale_ref(w_GN, semantics);
  return scale_G1.reshape(grouping.shape);
}

at::Tensor nearest_code(const at::Tensor& latent_OI, const at::Tensor& scale,
                        const latent::Grouping& grouping, const Form& form) {
  const at::Tensor w_GN = grouped(latent_OI, grouping),
                   scale_G1 = scale.to(w_GN.scalar_type()).reshape({grouping.count, 1});
  const at::Tensor code_GN = w_GN.is_cpu() ? nearest_code_cpu(w_GN, scale_G1, form)
                                           : nearest_code_ref(w_GN / scale_G1, form);
  return code_GN.reshape(latent_OI.sizes());
}

at::Tensor effective_weight(const at::Tensor& latent_OI, const latent::Grouping& grouping,
                            const Form& form, at::ScalarType wanted) {
  const at::Tensor w_GN = grouped(latent_OI, grouping);
  const at::Tensor value_GN = w_GN.is_cpu()            ? effective_weight_cpu(w_GN, form)
                              : has_kernel(w_GN, form) ? effective_weight_cuda(w_GN, form, wanted)
                                                       : effective_weight_ref(w_GN, form);
  return value_GN.reshape(latent_OI.sizes());
}

at::Tensor latent_gradient(const at::Tensor& gradient_OI, const at::Tensor& latent_OI,
                           const latent::Grouping& grouping, const Form& form) {
  const bool is_identity =
      form.pressure == 0 || (form.is_hard() && form.semantics == Semantics::kReleased);
  if (is_identity) return gradient_OI;
  const at::Tensor w_GN = grouped(latent_OI, grouping), g_GN = grouped(gradient_OI, grouping);
  const at::Tensor result_GN = w_GN.is_cpu()            ? latent_gradient_cpu(g_GN, w_GN, form)
                               : has_kernel(w_GN, form) ? latent_gradient_cuda(g_GN, w_GN, form)
                                                        : latent_gradient_ref(g_GN, w_GN, form);
  return result_GN.reshape(latent_OI.sizes());
}

}  // namespace qtk::hestia
