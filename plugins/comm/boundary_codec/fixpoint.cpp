#include "boundary_codec/fixpoint.hpp"

#include "boundary_codec/bit_stream.hpp"
#include "boundary_codec/device_codec.hpp"
#include "boundary_codec/vector_clones.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cstring>
#include <vector>

namespace qtk::boundary {
namespace {

/// fp32 scales, addressed by token and channel.
class ScaleView {
 public:
  explicit ScaleView(const at::Tensor& scales) : scales_(scales.to(at::kFloat).contiguous()) {
    const auto stride = [&](int64_t dim) {
      return scales_.size(dim) > 1 ? scales_.stride(dim) : 0;
    };
    sample_ = stride(0), token_ = stride(1), channel_ = stride(2);
  }

  const float* row(int64_t sample, int64_t token) const {
    return scales_.const_data_ptr<float>() + sample * sample_ + token * token_;
  }
  int64_t channel_stride() const { return channel_; }

 private:
  at::Tensor scales_;
  int64_t sample_ = 0, token_ = 0, channel_ = 0;
};

/// Half-even for |u| below 2^22, in a form that compilers vectorise.
float round_half_even(float u) {
  constexpr float kShift = 12582912.0F;  // 1.5 * 2^23: the unit in the last place is 1
  return (u + kShift) - kShift;
}

QTK_VECTOR_CLONES
void encode_row(const float* x, const float* scale, int64_t stride, int64_t n, float half,
                uint8_t* codes) {
#pragma omp simd
  for (int64_t c = 0; c < n; ++c) {
    const float s = scale[c * stride];
    const float u = x[c] / (s > 0 ? s : 1.0F) * half;  // scale 0: x is 0, or below all scales
    codes[c] = static_cast<uint8_t>(round_half_even(std::min(std::max(-half, u), half - 1)) + half);
  }
}

QTK_VECTOR_CLONES
void decode_row(const uint8_t* codes, const float* scale, int64_t stride, int64_t n, float half,
                float* x) {
#pragma omp simd
  for (int64_t c = 0; c < n; ++c)
    x[c] = (static_cast<float>(codes[c]) - half) / half * scale[c * stride];
}

template <class Row>
void for_each_token(at::IntArrayRef sizes, const Row& row) {
  const int64_t grain = std::max<int64_t>(1, 32768 / std::max<int64_t>(1, sizes[2]));
  at::parallel_for(0, sizes[0] * sizes[1], grain, [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end; ++at) row(at * sizes[2], at / sizes[1], at % sizes[1]);
  });
}

std::vector<int64_t> reduced_dims(ScalePer scale_per) {
  switch (scale_per) {
    case ScalePer::kChannel:
      return {0, 1};
    case ScalePer::kSampleChannel:
      return {1};
    case ScalePer::kToken:
      return {2};
    case ScalePer::kTensor:
      break;
  }
  return {0, 1, 2};
}

std::vector<int64_t> scale_shape(const Extent& extent, ScalePer scale_per) {
  std::vector<int64_t> shape = {extent.batch, extent.sequence, extent.channels};
  for (const int64_t dim : reduced_dims(scale_per)) shape[static_cast<size_t>(dim)] = 1;
  return shape;
}

float half_range(int bits) { return static_cast<float>(1 << (bits - 1)); }

}  // namespace

at::Tensor fixpoint_scales(const at::Tensor& x_BSC, const Fixpoint& form) {
  if (!x_BSC.is_cpu()) return device_scales(x_BSC, form);
  const auto dims = reduced_dims(form.scale_per);
  if (!form.is_l2) return saturated(x_BSC.abs().amax(dims, /*keepdim=*/true), form.scale_dtype);
  // In f64, where squares of f32 neither overflow nor vanish.
  const at::Tensor mean = x_BSC.to(at::kDouble).square().mean(dims, /*keepdim=*/true);
  return saturated(saturated(mean.sqrt().mul(2), at::kFloat), form.scale_dtype);
}

at::Tensor fixpoint_codes(const at::Tensor& x_BSC, const at::Tensor& scales, int bits) {
  if (!x_BSC.is_cpu()) return device_codes(x_BSC, scales, bits);
  at::Tensor codes = at::empty(x_BSC.sizes(), at::kByte);
  const ScaleView view(scales);
  const float* x = x_BSC.const_data_ptr<float>();
  auto* to = codes.data_ptr<uint8_t>();
  for_each_token(x_BSC.sizes(), [&](int64_t first, int64_t sample, int64_t token) {
    encode_row(x + first, view.row(sample, token), view.channel_stride(), x_BSC.size(2),
               half_range(bits), to + first);
  });
  return codes;
}

at::Tensor fixpoint_values(const at::Tensor& codes_BSC, const at::Tensor& scales, int bits) {
  if (!codes_BSC.is_cpu()) return device_values(codes_BSC, scales, bits);
  at::Tensor values = at::empty(codes_BSC.sizes(), at::kFloat);
  const ScaleView view(scales);
  const auto* codes = codes_BSC.const_data_ptr<uint8_t>();
  auto* to = values.data_ptr<float>();
  for_each_token(codes_BSC.sizes(), [&](int64_t first, int64_t sample, int64_t token) {
    decode_row(codes + first, view.row(sample, token), view.channel_stride(), codes_BSC.size(2),
               half_range(bits), to + first);
  });
  return values;
}

int64_t fixpoint_bytes(const Extent& extent, const Fixpoint& form) {
  const int64_t scales = c10::multiply_integers(scale_shape(extent, form.scale_per));
  return packed_bytes(extent.elements(), form.bits) +
         scales * static_cast<int64_t>(c10::elementSize(form.scale_dtype));
}

void write_fixpoint(const at::Tensor& x_BSC, const Fixpoint& form, at::Tensor& wire) {
  if (!x_BSC.is_cpu()) return device_write_fixpoint(x_BSC, form, wire);
  const at::Tensor x = to_f32(x_BSC), scales = fixpoint_scales(x, form).contiguous(),
                   codes = fixpoint_codes(x, scales, form.bits);
  auto* bytes = wire.data_ptr<uint8_t>();
  pack_codes(codes.const_data_ptr<uint8_t>(), codes.numel(), form.bits, bytes);
  std::memcpy(bytes + packed_bytes(codes.numel(), form.bits), scales.const_data_ptr(),
              scales.nbytes());
}

at::Tensor read_fixpoint(const at::Tensor& wire, const TensorSpec& spec, const Fixpoint& form) {
  if (!wire.is_cpu()) return device_read_fixpoint(wire, spec, form);
  const auto* bytes = wire.const_data_ptr<uint8_t>();
  at::Tensor codes = at::empty(spec.shape, at::kByte);
  at::Tensor scales = at::empty(scale_shape(extent_of(spec), form.scale_per), form.scale_dtype);
  unpack_codes(bytes, codes.numel(), form.bits, codes.data_ptr<uint8_t>());
  std::memcpy(scales.data_ptr(), bytes + packed_bytes(codes.numel(), form.bits), scales.nbytes());
  return saturated(fixpoint_values(codes, scales, form.bits), spec.dtype);
}

}  // namespace qtk::boundary
