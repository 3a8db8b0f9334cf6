#include "text/windows.hpp"
#include "train/softmax_kernels.hpp"
#include "train/softmax_rows.hpp"

#include <qtk/runtime/check.hpp>
#include <qtk/runtime/stream.hpp>

#include <ATen/core/Tensor.h>

namespace qtk::train {

#ifdef QTK_HAS_CUDA

bool has_softmax_kernel(const at::Tensor& logits) {
  return logits.device().is_cuda() && logits.is_contiguous() &&
         (logits.scalar_type() == at::kFloat || logits.scalar_type() == at::kBFloat16) &&
         logits.size(1) % kSoftmaxVector == 0 &&
         reinterpret_cast<uintptr_t>(logits.const_data_ptr()) % 16 == 0;
}

void softmax_gradient_cuda(at::Tensor& logits, const at::Tensor& targets, double scale,
                           const at::Tensor& nll) {
  const auto aims = targets.contiguous();
  launch_softmax_gradient({.logits = logits.mutable_data_ptr(),
                           .targets = aims.const_data_ptr<int64_t>(),
                           .nll = nll.mutable_data_ptr<float>(),
                           .rows = logits.size(0),
                           .columns = logits.size(1),
                           .unscored = text::kUnscoredTarget,
                           .scale = static_cast<float>(scale),
                           .is_bfloat16 = logits.scalar_type() == at::kBFloat16},
                          current_stream(logits.device()));
}

#else

bool has_softmax_kernel(const at::Tensor&) { return false; }

void softmax_gradient_cuda(at::Tensor&, const at::Tensor&, double, const at::Tensor&) {
  QTK_CHECK(false, "this build has no CUDA kernels");
}

#endif

}  // namespace qtk::train
