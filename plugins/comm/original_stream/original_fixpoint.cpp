#include "original_stream/original_fixpoint.hpp"

#include "original_stream/bit_writer.hpp"

#include <ATen/ATen.h>
#include <c10/util/Half.h>

#include <algorithm>
#include <cmath>

namespace qtk::original {
namespace {

float to_f16(float value) { return static_cast<float>(c10::Half(value)); }

}  // namespace

FixpointMessage fixpoint(const at::Tensor& x, int bits) {
  const int64_t channels = x.size(2), rows = x.size(0) * x.size(1);
  const auto half = static_cast<float>(1 << (bits - 1));
  const at::Tensor source = x.contiguous();
  const float* from = source.const_data_ptr<float>();
  FixpointMessage message{.decoded = at::empty(x.sizes(), at::kFloat)};
  for (int64_t c = 0; c < channels; ++c) {
    float largest = 0;
    for (int64_t row = 0; row < rows; ++row)
      largest = std::max(largest, std::abs(from[row * channels + c]));
    message.scales.push_back(to_f16(largest));
  }
  BitWriter payload;
  for (int64_t i = 0; i < rows * channels; ++i) {
    const float s = message.scales[static_cast<size_t>(i % channels)];
    const float d = to_f16(s + 1e-6F);  // the original's guard against a scale of 0
    const float u = std::nearbyint(from[i] / d * half);
    const float q = std::clamp(u, -half, half - 1) + half;
    message.codes.push_back(static_cast<uint8_t>(q));
    payload.write(message.codes.back(), bits);
    message.decoded.view(-1)[i] = (q - half) / half * s;
  }
  message.payload = payload.bytes();
  return message;
}

}  // namespace qtk::original
