#include "tile_encoder.hpp"

#include "allocation.hpp"
#include "metadata_float.hpp"
#include "tile_rotation.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <boundary_codec/bit_stream.hpp>
#include <boundary_codec/vector_clones.hpp>

#include <algorithm>
#include <cstring>
#include <tuple>
#include <utility>

namespace qtk::tah {
namespace {

constexpr int64_t kElementsPerTask = 32768;

/// Magnitudes above this are cut, so that sums over a tile and differences of them, here and in the
/// decoder, stay finite.
double largest_magnitude(int64_t tile_size) {
  const auto n = static_cast<double>(tile_size);
  return std::numeric_limits<float>::max() / (4 * n * n);
}

at::Tensor cut(const at::Tensor& x, double limit) {
  if (boundary::is_within(x, limit)) return x;
  return at::where(x.isinf(), x, x.clamp(-limit, limit));
}

/// Tiles as they enter the quantizer.
struct Rotated {
  at::Tensor y_TN;             // f32
  at::Tensor least_T, most_T;  // f32
  at::Tensor rotated_T;        // uint8
  at::Tensor pivot_T;          // uint8
};

template <class Body>
void for_each_tile(const Layout& layout, const Body& body) {
  at::parallel_for(0, layout.tiles, std::max<int64_t>(1, kElementsPerTask / layout.n),
                   [&](int64_t tile, int64_t end) {
                     for (; tile < end; ++tile) body(tile);
                   });
}

bool has_outlier(const Peaks& peaks, double threshold) {
  return threshold >= 0 && peaks.largest >= threshold * peaks.second;
}

/// Of a tile; NaN for both if a value is NaN or infinite, which lets the receiver see that the run
/// has diverged.
QTK_VECTOR_CLONES
std::pair<float, float> extremes(const float* y, int64_t n) {
  float least = y[0], most = y[0], fault = 0;
#pragma omp simd reduction(min : least) reduction(max : most) reduction(+ : fault)
  for (int64_t i = 0; i < n; ++i) {
    least = y[i] < least ? y[i] : least;
    most = y[i] > most ? y[i] : most;
    fault += y[i] * 0;
  }
  return {least + fault, most + fault};
}

Rotated rotate_outliers(const at::Tensor& x_BSC, double threshold, const Layout& layout) {
  const int64_t n = layout.n;
  Rotated tiles{.y_TN = x_BSC.reshape({layout.tiles, n}).clone(),
                .least_T = at::empty({layout.tiles}, at::kFloat),
                .most_T = at::empty({layout.tiles}, at::kFloat),
                .rotated_T = at::zeros({layout.tiles}, at::kByte),
                .pivot_T = at::zeros({layout.tiles}, at::kByte)};
  float *y_all = tiles.y_TN.data_ptr<float>(), *least = tiles.least_T.data_ptr<float>(),
        *most = tiles.most_T.data_ptr<float>();
  auto *rotated = tiles.rotated_T.data_ptr<uint8_t>(), *pivot = tiles.pivot_T.data_ptr<uint8_t>();
  for_each_tile(layout, [&](int64_t tile) {
    float* y = y_all + tile * n;
    if (const Peaks peaks = find_peaks(y, n); has_outlier(peaks, threshold)) {
      rotated[tile] = 1;
      pivot[tile] = static_cast<uint8_t>(peaks.pivot);
      rotate(y, n, peaks.pivot);
    }
    std::tie(least[tile], most[tile]) = extremes(y, n);
  });
  return tiles;
}

at::Tensor scores(const at::Tensor& x_BSC, const Rotated& tiles, const Settings& settings,
                  const Layout& layout) {
  if (settings.allocation == Allocation::kRange)
    return (tiles.most_T - tiles.least_T).view({layout.rows, layout.units_per_row});
  return entropy(x_BSC.reshape({layout.rows, layout.units_per_row, layout.unit_tiles * layout.n}));
}

/// Zero point and scale on the wire, and as the codes see them.
template <class Narrow>
struct Grid {
  Narrow stored_zero, stored_scale;
  float zero, scale;

  Grid(float least, float most, float levels, bool fits_stored) {
    if (fits_stored) {
      stored_zero = round_down<Narrow>(least);
      zero = stored_zero;
      stored_scale = round_up<Narrow>((most - zero) / levels);
      scale = stored_scale;
    } else {
      zero = least;
      scale = std::max((most - zero) / levels, 1e-30F);
      stored_zero = nearest<Narrow>(zero);
      stored_scale = nearest<Narrow>(scale);
    }
  }
};

QTK_VECTOR_CLONES
void encode_tile(const float* y, int64_t n, float zero, float scale, float levels, uint8_t* codes) {
  constexpr float kShift = 12582912.0F;  // rounds half to even: the unit in the last place is 1
  const float divisor = scale > 0 ? scale : 1.0F;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const float u = std::min(std::max(0.0F, (y[i] - zero) / divisor), levels);
    codes[i] = static_cast<uint8_t>((u + kShift) - kShift);
  }
}

template <class Narrow>
void write_codes(const Rotated& tiles, const at::Tensor& is_low, const Settings& settings,
                 const Layout& layout, uint8_t* wire) {
  const int64_t n = layout.n, unit_tiles = layout.unit_tiles;
  const at::Tensor place_U = places(is_low, layout);
  at::Tensor low_codes = at::empty({layout.low_codes}, at::kByte),
             high_codes = at::empty({layout.high_codes}, at::kByte);
  auto *to_low = low_codes.data_ptr<uint8_t>(), *to_high = high_codes.data_ptr<uint8_t>();
  const auto* low = is_low.const_data_ptr<uint8_t>();
  const auto* place = place_U.const_data_ptr<int64_t>();
  const float *y = tiles.y_TN.const_data_ptr<float>(),
              *least = tiles.least_T.const_data_ptr<float>(),
              *most = tiles.most_T.const_data_ptr<float>();
  for_each_tile(layout, [&](int64_t tile) {
    const int64_t unit = tile / unit_tiles;
    const int bits = low[unit] ? settings.low_bits : settings.high_bits;
    const auto levels = static_cast<float>((1 << bits) - 1);
    const Grid<Narrow> grid(least[tile], most[tile], levels, settings.fits_stored);
    std::memcpy(wire + layout.zeros_at + 2 * tile, &grid.stored_zero, 2);
    std::memcpy(wire + layout.scales_at + 2 * tile, &grid.stored_scale, 2);
    const int64_t at = (place[unit] * unit_tiles + tile % unit_tiles) * n;
    encode_tile(y + tile * n, n, grid.zero, grid.scale, levels,
                (low[unit] ? to_low : to_high) + at);
  });
  boundary::pack_codes(to_low, layout.low_codes, settings.low_bits, wire);
  boundary::pack_codes(to_high, layout.high_codes, settings.high_bits, wire + layout.high_at);
}

}  // namespace

void encode_tiles(const at::Tensor& x_BSC, const Settings& settings, const Layout& layout,
                  uint8_t* wire) {
  const at::Tensor cut_BSC = cut(x_BSC, largest_magnitude(layout.n));
  const Rotated tiles = rotate_outliers(cut_BSC, settings.threshold, layout);
  const at::Tensor is_low = lowest(scores(cut_BSC, tiles, settings, layout), layout.low_per_row);
  if (settings.metadata == at::kHalf)
    write_codes<c10::Half>(tiles, is_low, settings, layout, wire);
  else
    write_codes<c10::BFloat16>(tiles, is_low, settings, layout, wire);
  boundary::pack_codes(is_low.const_data_ptr<uint8_t>(), layout.units(), 1,
                       wire + layout.precision_at);
  boundary::pack_codes(tiles.rotated_T.const_data_ptr<uint8_t>(), layout.tiles, 1,
                       wire + layout.rotation_at);
  boundary::pack_codes(tiles.pivot_T.const_data_ptr<uint8_t>(), layout.tiles, layout.pivot_bits,
                       wire + layout.pivots_at);
}

}  // namespace qtk::tah
