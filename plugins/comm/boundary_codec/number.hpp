// Number types as kernels name them; no LibTorch, no CUDA.
#pragma once

namespace qtk::boundary {

enum class Number { kFloat, kBfloat16, kHalf };

}  // namespace qtk::boundary
