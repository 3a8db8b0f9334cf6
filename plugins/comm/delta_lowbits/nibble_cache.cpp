#include "nibble_cache.hpp"

#include <qtk/runtime/check.hpp>

#include <ATen/ATen.h>
#include <boundary_codec/fixpoint.hpp>

namespace qtk::lowbits {
namespace {

int64_t bytes_per_row(int64_t channels, int bits) {
  QTK_CHECK(channels % (8 / bits) == 0, "a cache of ", bits, " bits needs a multiple of ", 8 / bits,
            " channels, got ", channels);
  return channels * bits / 8;
}

}  // namespace

int64_t cache_bytes(int64_t sequence, int64_t channels, int bits) {
  return sequence * bytes_per_row(channels, bits) + 2 * channels;
}

at::Tensor pack_cache(const at::Tensor& m_SC, int bits) {
  const int64_t width = bytes_per_row(m_SC.size(1), bits);
  const at::Tensor x = m_SC.unsqueeze(0).contiguous();
  const boundary::Fixpoint form = {.bits = bits, .scale_dtype = at::kHalf};
  const at::Tensor scales = boundary::fixpoint_scales(x, form);
  const at::Tensor codes = boundary::fixpoint_codes(x, scales, bits)[0];
  at::Tensor rows = at::zeros({m_SC.size(0), width}, m_SC.options().dtype(at::kByte));
  for (int part = 0; part < 8 / bits; ++part)
    rows.bitwise_or_(
        codes.narrow(1, part * width, width).bitwise_left_shift(8 - bits * (part + 1)));
  return at::cat({rows.view(-1), scales.contiguous().view(-1).view(at::kByte)});
}

at::Tensor unpack_cache(const at::Tensor& packed, int64_t sequence, int64_t channels, int bits) {
  const int64_t width = bytes_per_row(channels, bits);
  QTK_CHECK(packed.numel() == cache_bytes(sequence, channels, bits), "a remembered sample has ",
            packed.numel(), " bytes, expected ", cache_bytes(sequence, channels, bits), " for [",
            sequence, ", ", channels, "]");
  const at::Tensor rows = packed.narrow(0, 0, sequence * width).view({sequence, width});
  std::vector<at::Tensor> parts;
  for (int part = 0; part < 8 / bits; ++part)
    parts.push_back(rows.bitwise_right_shift(8 - bits * (part + 1)).bitwise_and((1 << bits) - 1));
  // A copy, because a view as f16 needs an even offset.
  const at::Tensor scales =
      packed.narrow(0, sequence * width, 2 * channels).clone().view(at::kHalf);
  return boundary::fixpoint_values(at::cat(parts, 1).unsqueeze(0), scales.view({1, 1, channels}),
                                   bits)[0];
}

}  // namespace qtk::lowbits
