#include "stepwise_tah.hpp"

#include <ATen/ATen.h>

#include <cmath>

namespace qtk {
namespace {

at::Tensor sylvester(int64_t n, const at::Tensor& like) {
  at::Tensor h = at::ones({1, 1}, like.options());
  while (h.size(0) < n) h = at::cat({at::cat({h, h}, 1), at::cat({h, -h}, 1)}, 0);
  return h / std::sqrt(static_cast<double>(n));
}

/// Bits of codes, a byte each, most significant first.
at::Tensor bits_of(const at::Tensor& codes, int bits) {
  const at::Tensor shifts = at::arange(bits - 1, -1, -1, codes.options().dtype(at::kByte));
  return codes.to(at::kByte).view({-1, 1}).bitwise_right_shift(shifts).bitwise_and(1).view(-1);
}

at::Tensor packed(at::Tensor bits) {
  bits = at::constant_pad_nd(bits, {0, (8 - bits.numel() % 8) % 8});
  const at::Tensor weights =
      at::bitwise_left_shift(at::ones({8}, bits.options()), at::arange(7, -1, -1, bits.options()));
  return (bits.view({-1, 8}) * weights).sum(-1, /*keepdim=*/false, at::kByte);
}

at::Tensor unpacked(const at::Tensor& bytes) {
  return bytes.view({-1, 1})
      .bitwise_right_shift(at::arange(7, -1, -1, bytes.options()))
      .bitwise_and(1)
      .view(-1);
}

at::Tensor codes_of(const at::Tensor& bits, int width) {
  const at::Tensor weights = at::bitwise_left_shift(at::ones({width}, bits.options()),
                                                    at::arange(width - 1, -1, -1, bits.options()));
  return (bits.view({-1, width}) * weights).sum(-1, /*keepdim=*/false, at::kByte);
}

int log2_of(int64_t n) { return static_cast<int>(std::lround(std::log2(n))); }

at::Tensor half_bits(const at::Tensor& values) {
  return unpacked(values.to(at::kHalf).view(-1).view(at::kByte));
}

}  // namespace

at::Tensor StepwiseTah::encode(const at::Tensor& x_BSC) const {
  const at::Tensor x = x_BSC.to(at::kFloat);
  const int64_t batch = x.size(0), sequence = x.size(1), channels = x.size(2),
                tiles = channels / tile,
                low = static_cast<int64_t>(static_cast<double>(sequence) * (1 - high_ratio));
  const at::Tensor p = x.abs() / (x.abs().sum(-1, true) + 1e-30),
                   entropy = -(p * (p + 1e-30).log()).sum(-1);
  const at::Tensor order = std::get<1>(entropy.sort(-1)).narrow(1, 0, low);
  const at::Tensor is_low = at::zeros({batch, sequence}, x.options()).scatter_(1, order, 1.0);
  const at::Tensor reorder = std::get<1>(is_low.sort(/*stable=*/true, 1, /*descending=*/true));
  const at::Tensor sorted = x.gather(1, reorder.unsqueeze(-1).expand({batch, sequence, channels}));
  at::Tensor y = sorted.reshape({-1, tile});
  const at::Tensor top = std::get<0>(y.abs().topk(2, -1));
  const at::Tensor fires = top.select(1, 0) >= 2 * top.select(1, 1);
  const at::Tensor which = fires.nonzero().view(-1);  // the host waits
  const at::Tensor pivot = y.index_select(0, which).abs().argmax(-1, true);
  at::Tensor rotated = y.index_select(0, which);
  const at::Tensor first = rotated.narrow(1, 0, 1).clone(), largest = rotated.gather(1, pivot);
  rotated.scatter_(1, pivot, first);
  rotated.narrow(1, 0, 1).copy_(at::where(pivot == 0, rotated.narrow(1, 0, 1), largest));
  rotated = at::where(pivot == 0, y.index_select(0, which), rotated);
  y = y.index_copy(0, which, rotated.mm(sylvester(tile, x)));
  const at::Tensor zero = y.amin(-1, true), range = (y - zero).amax(-1, true);
  const at::Tensor levels =
      at::where(is_low.gather(1, reorder) > 0, (1 << low_bits) - 1, (1 << high_bits) - 1)
          .unsqueeze(-1)
          .expand({batch, sequence, tiles})
          .reshape({-1, 1});
  const at::Tensor scale = (range / levels).clamp_min(1e-30);
  const at::Tensor codes =
      at::minimum(((y - zero) / scale).round().clamp_min(0), levels).view({batch, sequence, -1});
  return packed(at::cat({bits_of(codes.narrow(1, 0, low).contiguous(), low_bits),
                         bits_of(codes.narrow(1, low, sequence - low).contiguous(), high_bits),
                         half_bits(zero), half_bits(scale), is_low.to(at::kByte).view(-1),
                         fires.to(at::kByte), bits_of(pivot, log2_of(tile))}));
}

at::Tensor StepwiseTah::decode(const at::Tensor& message, at::IntArrayRef shape) const {
  const int64_t batch = shape[0], sequence = shape[1], channels = shape[2],
                tiles = batch * sequence * channels / tile,
                low = static_cast<int64_t>(static_cast<double>(sequence) * (1 - high_ratio));
  const at::Tensor bits = unpacked(message);
  int64_t at = 0;
  const auto take = [&](int64_t count) { return bits.narrow(0, (at += count) - count, count); };
  const at::Tensor low_codes = codes_of(take(batch * low * channels * low_bits), low_bits),
                   high_codes =
                       codes_of(take(batch * (sequence - low) * channels * high_bits), high_bits);
  const auto halves = [&] {
    return packed(take(16 * tiles).contiguous()).view(at::kHalf).to(at::kFloat).view({tiles, 1});
  };
  const at::Tensor zero = halves(), scale = halves();
  const at::Tensor is_low = take(batch * sequence).view({batch, sequence});
  const at::Tensor which = take(tiles).nonzero().view(-1);  // the host waits
  const int width = log2_of(tile);
  const at::Tensor pivot =
      codes_of(take(which.numel() * width).contiguous(), width).to(at::kLong).view({-1, 1});
  at::Tensor y = at::cat({low_codes.view({batch, low, channels}),
                          high_codes.view({batch, sequence - low, channels})},
                         1)
                     .reshape({tiles, tile})
                     .to(at::kFloat);
  y = y * scale + zero;
  at::Tensor back = y.index_select(0, which).mm(sylvester(tile, y));
  const at::Tensor first = back.narrow(1, 0, 1).clone(), other = back.gather(1, pivot);
  back.scatter_(1, pivot, first);
  back.narrow(1, 0, 1).copy_(other);
  y = y.index_copy(0, which, back);
  const at::Tensor reorder = std::get<1>(is_low.sort(/*stable=*/true, 1, /*descending=*/true));
  const at::Tensor result = at::empty_like(y).view({batch, sequence, channels});
  return result.scatter(1, reorder.unsqueeze(-1).expand({batch, sequence, channels}),
                        y.view({batch, sequence, channels}));
}

}  // namespace qtk
