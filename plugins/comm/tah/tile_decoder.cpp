#include "tile_decoder.hpp"

#include "allocation.hpp"
#include "tile_rotation.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <boundary_codec/bit_stream.hpp>

#include <algorithm>
#include <cstring>

namespace qtk::tah {
namespace {

at::Tensor read_codes(const uint8_t* from, int64_t count, int bits) {
  at::Tensor codes = at::empty({count}, at::kByte);
  boundary::unpack_codes(from, count, bits, codes.data_ptr<uint8_t>());
  return codes;
}

/// f32 values of `count` 16-bit numbers.
at::Tensor read_metadata(const uint8_t* from, int64_t count, at::ScalarType dtype) {
  at::Tensor numbers = at::empty({count}, dtype);
  std::memcpy(numbers.data_ptr(), from, numbers.nbytes());
  return numbers.to(at::kFloat);
}

}  // namespace

void decode_tiles(const uint8_t* wire, const Settings& settings, const Layout& layout, float* x) {
  const int64_t n = layout.n, unit_tiles = layout.unit_tiles;
  const at::Tensor low_codes = read_codes(wire, layout.low_codes, settings.low_bits),
                   high_codes =
                       read_codes(wire + layout.high_at, layout.high_codes, settings.high_bits),
                   zero_T = read_metadata(wire + layout.zeros_at, layout.tiles, settings.metadata),
                   scale_T =
                       read_metadata(wire + layout.scales_at, layout.tiles, settings.metadata),
                   is_low = read_codes(wire + layout.precision_at, layout.units(), 1),
                   rotated_T = read_codes(wire + layout.rotation_at, layout.tiles, 1),
                   pivot_T = read_codes(wire + layout.pivots_at, layout.tiles, layout.pivot_bits),
                   place_U = places(is_low, layout);
  const auto *low = is_low.const_data_ptr<uint8_t>(),
             *rotated = rotated_T.const_data_ptr<uint8_t>(),
             *pivot = pivot_T.const_data_ptr<uint8_t>(),
             *from_low = low_codes.const_data_ptr<uint8_t>(),
             *from_high = high_codes.const_data_ptr<uint8_t>();
  const auto* place = place_U.const_data_ptr<int64_t>();
  const float *zero = zero_T.const_data_ptr<float>(), *scale = scale_T.const_data_ptr<float>();
  at::parallel_for(0, layout.tiles, std::max<int64_t>(1, 32768 / n),
                   [&](int64_t tile, int64_t end) {
                     for (; tile < end; ++tile) {
                       const int64_t unit = tile / unit_tiles;
                       const uint8_t* codes = (low[unit] ? from_low : from_high) +
                                              (place[unit] * unit_tiles + tile % unit_tiles) * n;
                       float* y = x + tile * n;
#pragma omp simd
                       for (int64_t i = 0; i < n; ++i)
                         y[i] = static_cast<float>(codes[i]) * scale[tile] + zero[tile];
                       if (rotated[tile]) rotate_back(y, n, pivot[tile]);
                     }
                   });
}

}  // namespace qtk::tah
