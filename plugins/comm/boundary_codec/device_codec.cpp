#include "boundary_codec/device_codec.hpp"

#include "boundary_codec/bit_stream.hpp"
#include "boundary_codec/fixpoint_kernels.hpp"

#include <qtk/runtime/check.hpp>
#include <qtk/runtime/stream.hpp>

#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>

namespace qtk::boundary {
namespace {

constexpr uintptr_t kAlignment = 16;

bool is_aligned(const at::Tensor& tensor) {
  return reinterpret_cast<uintptr_t>(tensor.const_data_ptr()) % kAlignment == 0;
}

}  // namespace

Number number_of(at::ScalarType dtype) {
  QTK_CHECK(dtype == at::kFloat || dtype == at::kBFloat16 || dtype == at::kHalf,
            "kernels read f32, bf16 and f16, got ", dtype);
  return dtype == at::kFloat      ? Number::kFloat
         : dtype == at::kBFloat16 ? Number::kBfloat16
                                  : Number::kHalf;
}

at::Tensor aligned(const at::Tensor& tensor) {
  const at::Tensor whole = tensor.detach().contiguous();
  return is_aligned(whole) ? whole : whole.clone();
}

void require_aligned(const at::Tensor& wire, const at::Tensor& other) {
  QTK_CHECK(wire.device() == other.device(), "the buffer of a message lies on ", wire.device(),
            ", the tensor on ", other.device());
  QTK_CHECK(is_aligned(wire),
            "the buffer of a message begins at an address that is no multiple of ", kAlignment,
            " bytes, which kernels need");
}

#ifdef QTK_HAS_CUDA

bool uses_kernels(const at::Tensor& tensor, const char* method) {
  if (tensor.is_cpu()) return false;
  if (!tensor.is_cuda()) require_host(tensor, method);
  return true;
}

void write_cast(const at::Tensor& x, at::ScalarType dtype, at::Tensor& wire) {
  require_aligned(wire, x);
  const c10::DeviceGuard guard(x.device());
  const at::Tensor from = aligned(x);
  launch_cast(from.const_data_ptr(), number_of(from.scalar_type()), wire.data_ptr(),
              number_of(dtype), from.numel(), current_stream(x.device()));
}

at::Tensor read_cast(const at::Tensor& wire, at::ScalarType dtype, const TensorSpec& spec) {
  require_aligned(wire, wire);
  const c10::DeviceGuard guard(wire.device());
  at::Tensor y = at::empty(spec.shape, wire.options().dtype(spec.dtype));
  launch_cast(wire.const_data_ptr(), number_of(dtype), y.data_ptr(), number_of(spec.dtype),
              y.numel(), current_stream(wire.device()));
  return y;
}

namespace {

/// Codes of as many bits as they have, unless `width` says otherwise.
CodeForm code_form(at::IntArrayRef sizes, const Fixpoint& form, int width) {
  const int64_t batch = sizes[0], sequence = sizes[1];
  const bool is_whole = form.scale_per == ScalePer::kChannel || form.scale_per == ScalePer::kTensor;
  return {.tokens = batch * sequence,
          .channels = static_cast<int>(sizes[2]),
          .tokens_per_scale = is_whole                                     ? batch * sequence
                              : form.scale_per == ScalePer::kSampleChannel ? sequence
                                                                           : 1,
          .is_per_channel =
              form.scale_per == ScalePer::kChannel || form.scale_per == ScalePer::kSampleChannel,
          .bits = form.bits,
          .width = width,
          .is_l2 = form.is_l2,
          .scale_type = number_of(form.scale_dtype)};
}

/// The form whose scales have this shape.
Fixpoint form_of(at::IntArrayRef sizes, const at::Tensor& scales, int bits) {
  const bool has_channels = scales.size(2) == sizes[2],
             has_samples = scales.size(0) == sizes[0] && sizes[0] > 1;
  const ScalePer scale_per = scales.size(1) == sizes[1] && scales.size(2) == 1 ? ScalePer::kToken
                             : !has_channels                                   ? ScalePer::kTensor
                             : has_samples ? ScalePer::kSampleChannel
                                           : ScalePer::kChannel;
  return {.bits = bits, .scale_per = scale_per, .scale_dtype = scales.scalar_type()};
}

std::vector<int64_t> scale_sizes(at::IntArrayRef sizes, ScalePer scale_per) {
  switch (scale_per) {
    case ScalePer::kChannel:
      return {1, 1, sizes[2]};
    case ScalePer::kSampleChannel:
      return {sizes[0], 1, sizes[2]};
    case ScalePer::kToken:
      return {sizes[0], sizes[1], 1};
    case ScalePer::kTensor:
      break;
  }
  return {1, 1, 1};
}

at::Tensor scratch(const CodeForm& form, const at::Tensor& like) {
  return at::empty({scratch_bytes(form)}, like.options().dtype(at::kByte));
}

}  // namespace

at::Tensor device_scales(const at::Tensor& x_BSC, const Fixpoint& form) {
  const c10::DeviceGuard guard(x_BSC.device());
  const at::Tensor x = aligned(x_BSC);
  const CodeForm codes = code_form(x.sizes(), form, form.bits);
  at::Tensor scales =
      at::empty(scale_sizes(x.sizes(), form.scale_per), x.options().dtype(form.scale_dtype));
  const at::Tensor memory = scratch(codes, x);
  launch_scales(codes, x.const_data_ptr(), number_of(x.scalar_type()), memory.mutable_data_ptr(),
                static_cast<uint8_t*>(scales.data_ptr()), current_stream(x.device()));
  return scales;
}

at::Tensor device_codes(const at::Tensor& x_BSC, const at::Tensor& scales, int bits) {
  const c10::DeviceGuard guard(x_BSC.device());
  const at::Tensor x = aligned(x_BSC), shared = scales.contiguous();
  at::Tensor codes = at::empty(x.sizes(), x.options().dtype(at::kByte));
  launch_codes(code_form(x.sizes(), form_of(x.sizes(), shared, bits), 8), x.const_data_ptr(),
               number_of(x.scalar_type()), static_cast<const uint8_t*>(shared.const_data_ptr()),
               codes.data_ptr<uint8_t>(), current_stream(x.device()));
  return codes;
}

at::Tensor device_values(const at::Tensor& codes_BSC, const at::Tensor& scales, int bits) {
  const c10::DeviceGuard guard(codes_BSC.device());
  const at::Tensor codes = aligned(codes_BSC), shared = scales.contiguous();
  at::Tensor values = at::empty(codes.sizes(), codes.options().dtype(at::kFloat));
  launch_values(code_form(codes.sizes(), form_of(codes.sizes(), shared, bits), 8),
                codes.const_data_ptr<uint8_t>(),
                static_cast<const uint8_t*>(shared.const_data_ptr()), values.data_ptr(),
                Number::kFloat, current_stream(codes.device()));
  return values;
}

void device_write_fixpoint(const at::Tensor& x_BSC, const Fixpoint& form, at::Tensor& wire) {
  require_aligned(wire, x_BSC);
  const c10::DeviceGuard guard(x_BSC.device());
  const at::Tensor x = aligned(x_BSC);
  const CodeForm codes = code_form(x.sizes(), form, form.bits);
  const at::Tensor memory = scratch(codes, x);
  auto* bytes = wire.data_ptr<uint8_t>();
  launch_scales_and_codes(codes, x.const_data_ptr(), number_of(x.scalar_type()),
                          memory.mutable_data_ptr(), bytes + packed_bytes(x.numel(), form.bits),
                          bytes, current_stream(x.device()));
}

at::Tensor device_read_fixpoint(const at::Tensor& wire, const TensorSpec& spec,
                                const Fixpoint& form) {
  require_aligned(wire, wire);
  const c10::DeviceGuard guard(wire.device());
  at::Tensor y = at::empty(spec.shape, wire.options().dtype(spec.dtype));
  const auto* bytes = wire.const_data_ptr<uint8_t>();
  launch_values(code_form(y.sizes(), form, form.bits), bytes,
                bytes + packed_bytes(y.numel(), form.bits), y.data_ptr(), number_of(spec.dtype),
                current_stream(wire.device()));
  return y;
}

#else

bool uses_kernels(const at::Tensor& tensor, const char* method) {
  require_host(tensor, method);
  return false;
}

void write_cast(const at::Tensor&, at::ScalarType, at::Tensor&) {
  QTK_CHECK(false, "built without CUDA");
}
at::Tensor read_cast(const at::Tensor&, at::ScalarType, const TensorSpec&) {
  QTK_CHECK(false, "built without CUDA");
}
at::Tensor device_scales(const at::Tensor&, const Fixpoint&) {
  QTK_CHECK(false, "built without CUDA");
}
at::Tensor device_codes(const at::Tensor&, const at::Tensor&, int) {
  QTK_CHECK(false, "built without CUDA");
}
at::Tensor device_values(const at::Tensor&, const at::Tensor&, int) {
  QTK_CHECK(false, "built without CUDA");
}
void device_write_fixpoint(const at::Tensor&, const Fixpoint&, at::Tensor&) {
  QTK_CHECK(false, "built without CUDA");
}
at::Tensor device_read_fixpoint(const at::Tensor&, const TensorSpec&, const Fixpoint&) {
  QTK_CHECK(false, "built without CUDA");
}

#endif

}  // namespace qtk::boundary
