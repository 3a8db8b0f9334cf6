#include "model/norm.hpp"

#include "model/gradients.hpp"
#include "model/kernels_cpu.hpp"
#include "model/rms_norm_training.hpp"

#include <ATen/ATen.h>

namespace qtk::model {
namespace {

at::Tensor rms_norm_fused(const at::Tensor& x, const at::Tensor& weight, double eps) {
  const auto in = x.contiguous();
  const auto scale = weight.contiguous();
  auto out = at::empty_like(in);
  const int64_t columns = in.size(-1);
  rms_norm_rows({in.const_data_ptr<float>(), columns}, scale.const_data_ptr<float>(),
                static_cast<float>(eps), in.numel() / columns, columns,
                {out.mutable_data_ptr<float>(), columns});
  return out;
}

}  // namespace

at::Tensor rms_norm_ref(const at::Tensor& x, const at::Tensor& weight, double eps) {
  const auto wide = x.scalar_type() == at::kDouble ? x : x.to(at::kFloat);
  const auto scale = at::rsqrt(wide.square().mean(-1, /*keepdim=*/true) + eps);
  return weight.to(x.scalar_type()) * (wide * scale).to(x.scalar_type());
}

at::Tensor Norm::forward(const at::Tensor& x, AttentionForm form) const {
  const auto dtype = x.scalar_type();
  if (kind == NormKind::kLayer)
    return at::layer_norm(x, {x.size(-1)}, weight.to(dtype), bias.to(dtype), eps);
  const auto scale = weight.to(dtype);
  if (x.device().is_cuda() && form == AttentionForm::kFused)
    return at::rms_norm(x, {x.size(-1)}, scale, eps);
  if (runs_fused({x, scale})) return rms_norm_fused(x, scale, eps);
  const bool is_cpu_fp32 = x.device().is_cpu() && dtype == at::kFloat;
  return is_cpu_fp32 && form == AttentionForm::kFused ? rms_norm_training(x, scale, eps)
                                                      : rms_norm_ref(x, scale, eps);
}

}  // namespace qtk::model
