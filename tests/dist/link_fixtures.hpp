// Compressors whose effect can be written down in one line, and what links of a test carry.
#pragma once

#include <qtk/api/compressor.hpp>

#include <ATen/ATen.h>

#include <numeric>
#include <vector>

namespace qtk::dist {

inline at::Tensor to_eighths(const at::Tensor& x) { return (x * 8).round() / 8; }

/// The tensor's own bytes.
class Raw : public Compressor {
 public:
  int64_t wire_bytes(const TensorSpec& spec) const override {
    return c10::multiply_integers(spec.shape) * static_cast<int64_t>(c10::elementSize(spec.dtype));
  }
  void encode(const at::Tensor& x, at::Tensor& wire, const MessageInfo&) override {
    wire.copy_(x.contiguous().view(-1).view(at::kByte));
  }
  at::Tensor decode(const at::Tensor& wire, const MessageInfo& info) override {
    return wire.clone().view(info.spec.dtype).view(info.spec.shape);
  }
};

/// Multiples of 1/8 up to 4096, two bytes each; raw in a warm-up. Keeps the infos it was given.
class Eighths final : public Raw {
 public:
  int64_t wire_bytes(const TensorSpec& spec) const override {
    return 2 * c10::multiply_integers(spec.shape);
  }
  void encode(const at::Tensor& x, at::Tensor& wire, const MessageInfo& info) override {
    note(info);
    if (info.is_warmup) return Raw::encode(x, wire, info);
    wire.copy_((x * 8).round().clamp(-32768, 32767).to(at::kShort).view(-1).view(at::kByte));
  }
  at::Tensor decode(const at::Tensor& wire, const MessageInfo& info) override {
    note(info);
    if (info.is_warmup) return Raw::decode(wire, info);
    return (wire.clone().view(at::kShort).to(at::kFloat) / 8).view(info.spec.shape);
  }

  std::vector<int64_t> micro_batches;
  std::vector<std::vector<int64_t>> samples;

 private:
  void note(const MessageInfo& info) {
    micro_batches.push_back(info.micro_batch);
    samples.emplace_back(info.samples.begin(), info.samples.end());
  }
};

}  // namespace qtk::dist
