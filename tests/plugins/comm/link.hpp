// Both ends of a link in one process, and the notation of the published vectors.
#pragma once

#include <qtk/testing/memory_state.hpp>
#include <qtk/testing/plugin_under_test.hpp>

#include <ATen/ATen.h>

#include <cstdio>
#include <span>
#include <string>
#include <vector>

namespace qtk::testing {

inline std::string hex(std::span<const uint8_t> bytes) {
  std::string text;
  for (const uint8_t byte : bytes) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", byte);
    text += digits;
  }
  return text;
}

inline std::string hex(const at::Tensor& bytes) {
  return hex(std::span(bytes.const_data_ptr<uint8_t>(), static_cast<size_t>(bytes.numel())));
}

inline at::Tensor tensor(std::vector<float> values, std::initializer_list<int64_t> shape) {
  return at::tensor(values, at::kFloat).view(at::IntArrayRef(shape));
}

struct Link {
  Link(const std::string& id, const std::string& options)
      : sender(make<Compressor>(id, options)), receiver(make<Compressor>(id, options)) {}

  at::Tensor send(const at::Tensor& x, std::vector<int64_t> samples = {}, bool is_warmup = false) {
    if (samples.empty())
      for (int64_t row = 0; row < x.size(0); ++row) samples.push_back(row);
    const MessageInfo info{
        .spec = {x.sizes().vec(), x.scalar_type()}, .samples = samples, .is_warmup = is_warmup};
    wire = at::full({is_warmup ? static_cast<int64_t>(x.nbytes()) : sender->wire_bytes(info.spec)},
                    0xa5, at::kByte);
    sender->encode(x, wire, info);
    return receiver->decode(wire, info);
  }

  std::shared_ptr<Compressor> sender, receiver;
  at::Tensor wire;  // of the last message
};

inline double mean_square_error(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).to(at::kDouble).square().mean().item<double>();
}

}  // namespace qtk::testing
