// CUDA kernels of the released semantics; the launches see raw pointers only.
#pragma once

#include <cstddef>
#include <cstdint>

namespace qtk::hestia {

constexpr size_t kMostKernelLevels = 16;

enum class ScaleWidth { kFloat, kHalf, kBfloat16 };

/// A weight as contiguous groups.
struct Shape {
  int64_t groups = 0, size = 0;
};

/// Form for the kernels; passed to them by value.
struct FormTerms {
  float levels[kMostKernelLevels] = {};
  int num_levels = 0;
  float inverse_temperature = 0;  // finite
  float pressure = 1;
  bool is_ternary = false;
  bool is_hard = false;
  ScaleWidth scale_width = ScaleWidth::kFloat;  // to which a hard form rounds its scales
};

struct Output {
  void* data = nullptr;
  bool is_bf16 = false;  // else fp32
};
struct Input {
  const void* data = nullptr;
  bool is_bf16 = false;
};

/// Whether a warp, or a part of one, holds a group in its registers and makes the scale itself:
/// groups of 16, 32, 64, 128, 256, 512 or 1024 in memory aligned to 16 bytes. Others need
/// launch_scale() first.
bool is_scale_fused(const Shape& shape, const float* w);

/// Floats of scratch memory that launch_scale() needs.
int64_t num_partial_sums(const Shape& shape);

// All launches go to `stream` (a cudaStream_t) and do not synchronise.

/// gamma = mean|w| + 1e-5 of every group.
void launch_scale(const Shape& shape, const float* w, float* partial, float* scale, void* stream);

/// Effective weight. Floor: 4 bytes read and 2 (bf16) written per weight, as of a cast.
/// @param scale  [groups], null where is_scale_fused()
void launch_effective_weight(const Shape& shape, const FormTerms& form, const float* w,
                             const float* scale, const Output& out, void* stream);

/// Gradient of the latent weight, for soft forms; `gradient` aligned to 16 bytes. Floor: 4 + 2
/// (bf16) bytes read, 4 written.
void launch_latent_gradient(const Shape& shape, const FormTerms& form, const float* w,
                            const float* scale, const Input& gradient, float* out, void* stream);

}  // namespace qtk::hestia
