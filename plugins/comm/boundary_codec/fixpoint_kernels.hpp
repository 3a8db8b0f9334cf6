// CUDA kernels of fixed-point codes with a shared scale (fixpoint.hpp), and of casts. The launches
// see raw pointers only, go to `stream` (a cudaStream_t) and do not synchronise.
//
// Floor of the bytes for [1024, 1600] with 8 bits: 1.64 MB of codes beside 3.28 MB (bf16) or
// 6.55 MB (fp32): 1.6 us or 2.7 us at 3 TB/s. Where the elements that share a scale do not fit in a
// block, the tensor is read twice.
#pragma once

#include <boundary_codec/number.hpp>

#include <cstdint>

namespace qtk::boundary {

/// A tensor as tokens of channels, and who shares a scale.
struct CodeForm {
  int64_t tokens = 0;
  int channels = 0;
  int64_t tokens_per_scale = 0;  // consecutive
  bool is_per_channel = false;   // else all channels of these tokens share one scale
  int bits = 8;                  // of a code
  int width = 8;                 // bits that a code takes, at least `bits`
  bool is_l2 = false;
  Number scale_type = Number::kFloat;
};

int64_t scratch_bytes(const CodeForm& form);

// Data pointers are aligned to 16 bytes, except for `scales`, which may lie anywhere.

void launch_scales(const CodeForm& form, const void* x, Number type, void* scratch, uint8_t* scales,
                   void* stream);
void launch_codes(const CodeForm& form, const void* x, Number type, const uint8_t* scales,
                  uint8_t* codes, void* stream);
/// Both, in one launch where the elements that share a scale fit in a block.
void launch_scales_and_codes(const CodeForm& form, const void* x, Number type, void* scratch,
                             uint8_t* scales, uint8_t* codes, void* stream);
void launch_values(const CodeForm& form, const uint8_t* codes, const uint8_t* scales, void* x,
                   Number type, void* stream);

/// Cast of `count` numbers in which finite values stay finite.
void launch_cast(const void* from, Number from_type, void* to, Number to_type, int64_t count,
                 void* stream);

}  // namespace qtk::boundary
