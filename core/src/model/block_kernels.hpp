// CUDA forms of what lies between a block's products; raw pointers only. Floors: every tensor
// named is read or written once.
#pragma once

#include <cstdint>

namespace qtk::model {

enum class FloatWidth { kFloat, kBfloat16 };

/// Rotates the first 2 `half` features of every head: (a, b) -> (a c - b s, b c + a s), the pair
/// (i, i + half) by the angle of its position; the rest is copied.
struct RotateArguments {
  const void* x = nullptr;         // [rows, heads, head_dim]; rows lie row_stride elements apart
  void* out = nullptr;             // the same, contiguous
  const float* cosines = nullptr;  // [positions, half]
  const float* sines = nullptr;
  int64_t rows = 0, row_stride = 0;  // row r has position r % positions
  int64_t positions = 0, heads = 0, head_dim = 0, half = 0;
  bool is_inverse = false;  // by the negative angle: the gradient
  FloatWidth width = FloatWidth::kFloat;
};
void launch_rotate(const RotateArguments& arguments, void* stream);

/// Elements that one thread moves at once; counts must be a multiple, addresses 16-byte aligned.
inline constexpr int64_t kVectorElements = 8;

/// out = silu(gate) * up, all [count].
struct SiluTimesArguments {
  const void* gate = nullptr;
  const void* up = nullptr;
  void* out = nullptr;
  int64_t count = 0;
  FloatWidth width = FloatWidth::kFloat;
};
void launch_silu_times(const SiluTimesArguments& arguments, void* stream);

/// Gradients of both factors from the one of `out`.
struct SiluTimesGradientArguments {
  const void* gate = nullptr;
  const void* up = nullptr;
  const void* of_out = nullptr;
  void* of_gate = nullptr;
  void* of_up = nullptr;
  int64_t count = 0;
  FloatWidth width = FloatWidth::kFloat;
};
void launch_silu_times_gradient(const SiluTimesGradientArguments& arguments, void* stream);

}  // namespace qtk::model
