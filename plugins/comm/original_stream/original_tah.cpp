#include "original_stream/original_tah.hpp"

#include "original_stream/bit_writer.hpp"

#include <ATen/ATen.h>
#include <c10/util/Half.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <utility>

namespace qtk::original {
namespace {

struct Tile {
  std::vector<float> y;
  bool is_rotated = false;
  int64_t pivot = 0;
  bool is_low = false;
  float zero = 0, scale = 0;
  std::vector<uint8_t> codes;
};

/// Entry of the Hadamard matrix in Sylvester's order.
float hadamard(int64_t row, int64_t column) {
  return std::popcount(static_cast<uint64_t>(row & column)) % 2 ? -1.0F : 1.0F;
}

std::vector<float> transformed(const std::vector<float>& v) {
  const auto n = static_cast<int64_t>(v.size());
  std::vector<float> y(v.size());
  for (int64_t i = 0; i < n; ++i) {
    float sum = 0;
    for (int64_t j = 0; j < n; ++j) sum += v[static_cast<size_t>(j)] * hadamard(i, j);
    y[static_cast<size_t>(i)] = sum / std::sqrt(static_cast<float>(n));
  }
  return y;
}

void rotate_if_outlier(Tile& tile) {
  std::vector<float> magnitudes;
  for (const float y : tile.y) magnitudes.push_back(std::abs(y));
  tile.pivot = std::max_element(magnitudes.begin(), magnitudes.end()) - magnitudes.begin();
  std::sort(magnitudes.rbegin(), magnitudes.rend());
  tile.is_rotated = magnitudes[0] >= 2 * magnitudes[1];
  if (!tile.is_rotated) return;
  std::swap(tile.y[0], tile.y[static_cast<size_t>(tile.pivot)]);
  tile.y = transformed(tile.y);
}

void quantize(Tile& tile, int bits) {
  const auto levels = static_cast<float>((1 << bits) - 1);
  tile.zero = *std::min_element(tile.y.begin(), tile.y.end());
  const float range = *std::max_element(tile.y.begin(), tile.y.end()) - tile.zero;
  tile.scale = std::max(range / levels, 1e-30F);
  for (const float y : tile.y)
    tile.codes.push_back(static_cast<uint8_t>(
        std::clamp(std::nearbyint((y - tile.zero) / tile.scale), 0.0F, levels)));
}

std::vector<float> dequantize(const Tile& tile) {
  std::vector<float> y;
  for (const uint8_t code : tile.codes)
    y.push_back(static_cast<float>(code) * static_cast<float>(c10::Half(tile.scale)) +
                static_cast<float>(c10::Half(tile.zero)));
  if (!tile.is_rotated) return y;
  y = transformed(y);
  std::swap(y[0], y[static_cast<size_t>(tile.pivot)]);
  return y;
}

/// Low tokens ascending, then high tokens ascending.
std::vector<int64_t> message_order(const uint8_t* is_low, int64_t sequence) {
  std::vector<int64_t> order(static_cast<size_t>(sequence));
  std::iota(order.begin(), order.end(), 0);
  std::stable_partition(order.begin(), order.end(), [&](int64_t token) { return is_low[token]; });
  return order;
}

void mark_low(TahMessage& message, int64_t first, int64_t sequence, double high_ratio) {
  std::vector<int64_t> order(static_cast<size_t>(sequence));
  std::iota(order.begin(), order.end(), first);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return message.entropies[static_cast<size_t>(a)] < message.entropies[static_cast<size_t>(b)];
  });
  order.resize(static_cast<size_t>(low_tokens(sequence, high_ratio)));
  for (const int64_t token : order) message.is_low[static_cast<size_t>(token)] = 1;
}

void write_f16(BitWriter& out, float value) {
  const uint16_t bits = c10::Half(value).x;
  out.write(bits & 0xff, 8);
  out.write(bits >> 8, 8);
}

std::vector<uint8_t> bytes_of(const std::vector<Tile>& tiles, const TahMessage& message,
                              const TahOptions& options) {
  BitWriter out;
  for (const uint8_t code : message.low_codes) out.write(code, options.low_bits);
  for (const uint8_t code : message.high_codes) out.write(code, options.high_bits);
  for (const Tile& tile : tiles) write_f16(out, tile.zero);
  for (const Tile& tile : tiles) write_f16(out, tile.scale);
  for (const uint8_t low : message.is_low) out.write(low, 1);
  for (const Tile& tile : tiles) out.write(tile.is_rotated, 1);
  const int pivot_bits = std::countr_zero(static_cast<uint64_t>(options.tile_size));
  for (auto tile = tiles.rbegin(); tile != tiles.rend(); ++tile)  // last tile first
    if (tile->is_rotated) out.write(static_cast<uint32_t>(tile->pivot), pivot_bits);
  return out.bytes();
}

}  // namespace

int64_t low_tokens(int64_t sequence, double high_ratio) {
  return static_cast<int64_t>(static_cast<double>(sequence) * (1 - high_ratio));
}

float entropy(const float* x, int64_t n) {
  float sum = 0, entropy = 0;
  for (int64_t i = 0; i < n; ++i) sum += std::abs(x[i]);
  for (int64_t i = 0; i < n; ++i) {
    const float p = std::abs(x[i]) / (sum + 1e-30F);
    entropy -= p * std::log(p + 1e-30F);
  }
  return entropy;
}

TahMessage tah(const at::Tensor& x, const TahOptions& options) {
  const int64_t batch = x.size(0), sequence = x.size(1), channels = x.size(2);
  const at::Tensor source = x.contiguous();
  const float* from = source.const_data_ptr<float>();
  TahMessage message{.decoded = at::empty(x.sizes(), at::kFloat)};
  for (int64_t token = 0; token < batch * sequence; ++token)
    message.entropies.push_back(entropy(from + token * channels, channels));
  message.is_low.assign(static_cast<size_t>(batch * sequence), 0);
  float* decoded = message.decoded.data_ptr<float>();
  std::vector<Tile> tiles;
  for (int64_t sample = 0; sample < batch; ++sample) {
    mark_low(message, sample * sequence, sequence, options.high_ratio);
    for (const int64_t token :
         message_order(&message.is_low[static_cast<size_t>(sample * sequence)], sequence))
      for (int64_t at = 0; at < channels; at += options.tile_size) {
        const int64_t first = (sample * sequence + token) * channels + at;
        Tile tile{.y = {from + first, from + first + options.tile_size}};
        tile.is_low = message.is_low[static_cast<size_t>(sample * sequence + token)];
        rotate_if_outlier(tile);
        quantize(tile, tile.is_low ? options.low_bits : options.high_bits);
        const std::vector<float> values = dequantize(tile);
        std::copy(values.begin(), values.end(), decoded + first);
        auto& codes = tile.is_low ? message.low_codes : message.high_codes;
        codes.insert(codes.end(), tile.codes.begin(), tile.codes.end());
        message.rotated += tile.is_rotated;
        tiles.push_back(std::move(tile));
      }
  }
  message.bytes = bytes_of(tiles, message, options);
  return message;
}

}  // namespace qtk::original
