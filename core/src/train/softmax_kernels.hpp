// CUDA form of softmax_gradient_rows(); raw pointers only. Floor: the logits read once and written
// once; they are read a second time out of the cache.
#pragma once

#include <cstdint>

namespace qtk::train {

/// Columns must be a multiple of it, and the logits 16-byte aligned.
inline constexpr int64_t kSoftmaxVector = 8;

struct SoftmaxGradientArguments {
  void* logits = nullptr;            // [rows, columns], replaced by their gradient
  const int64_t* targets = nullptr;  // [rows]
  float* nll = nullptr;              // [rows], -log p(target), 0 where nothing is scored
  int64_t rows = 0, columns = 0;
  int64_t unscored = 0;  // target that counts nothing
  float scale = 1;
  bool is_bfloat16 = false;  // else fp32
};
void launch_softmax_gradient(const SoftmaxGradientArguments& arguments, void* stream);

}  // namespace qtk::train
