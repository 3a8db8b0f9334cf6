// CUDA form of dequantize(); the launch sees raw pointers only.
#pragma once

#include <cstdint>

namespace qtk::affine {

struct Codes;

/// Which type the scales are stored in.
enum class ScaleWidth { kFloat, kHalf, kBfloat16 };

/// Device pointers of one weight: `groups` groups of `group_size` codes each. `zeros` is null for
/// signed codes.
struct DequantizeArguments {
  const void* codes = nullptr;     // uint8, or int8 if zeros is null
  const void* scales = nullptr;    // [groups]
  const uint8_t* zeros = nullptr;  // [groups]
  float* out = nullptr;            // [groups, group_size]
  int64_t groups = 0;
  int64_t group_size = 0;
  ScaleWidth scale_width = ScaleWidth::kFloat;
};

/// Launches on `stream` (a cudaStream_t); no synchronisation.
void launch_dequantize(const DequantizeArguments& arguments, void* stream);

}  // namespace qtk::affine
