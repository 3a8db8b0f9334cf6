#include "message_layout.hpp"

#include <qtk/runtime/error.hpp>

#include <boundary_codec/bit_stream.hpp>

#include <bit>
#include <cmath>
#include <string>

namespace qtk::tah {
namespace {

constexpr int64_t kMetadataBytes = 2;

void set_offsets(Layout& layout, const Settings& settings) {
  const auto bytes = [](int64_t count, int bits) { return boundary::packed_bytes(count, bits); };
  layout.high_at = bytes(layout.low_codes, settings.low_bits);
  layout.zeros_at = layout.high_at + bytes(layout.high_codes, settings.high_bits);
  layout.scales_at = layout.zeros_at + kMetadataBytes * layout.tiles;
  layout.precision_at = layout.scales_at + kMetadataBytes * layout.tiles;
  layout.rotation_at = layout.precision_at + bytes(layout.units(), 1);
  layout.pivots_at = layout.rotation_at + bytes(layout.tiles, 1);
  layout.bytes = layout.pivots_at + bytes(layout.tiles, layout.pivot_bits);
}

}  // namespace

Layout layout_of(const boundary::Extent& extent, const Settings& settings) {
  const int64_t n = settings.tile_size;
  if (extent.channels % n != 0)
    throw ConfigError("tile_size " + std::to_string(n) + " does not divide the " +
                          std::to_string(extent.channels) + " channels of the boundary",
                      "try " + std::to_string(extent.channels & -extent.channels) +
                          ", the largest power of two that does");
  const int64_t token_tiles = extent.channels / n;
  const bool is_token = settings.allocation == Allocation::kToken;
  Layout layout{};
  layout.n = n;
  layout.tiles = extent.tokens() * token_tiles;
  layout.unit_tiles = is_token ? token_tiles : 1;
  layout.rows = is_token ? extent.batch : extent.tokens();
  layout.units_per_row = is_token ? extent.sequence : token_tiles;
  // The tolerance keeps 0.7 * 10, which is above 7 in f64, from becoming 8.
  const double high = settings.high_ratio * static_cast<double>(layout.units_per_row) - 1e-9;
  layout.low_per_row = layout.units_per_row - static_cast<int64_t>(std::ceil(high));
  layout.pivot_bits = std::countr_zero(static_cast<uint64_t>(n));
  layout.low_codes = layout.rows * layout.low_per_row * layout.unit_tiles * n;
  layout.high_codes = extent.elements() - layout.low_codes;
  set_offsets(layout, settings);
  return layout;
}

}  // namespace qtk::tah
