#include "stage/compressor_benchmark.hpp"

#include "base/interrupt.hpp"
#include "plugin/guarded.hpp"

#include <qtk/runtime/check.hpp>

#include <ATen/ATen.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <chrono>
#include <numeric>

namespace qtk::stage {
namespace {

void wait_for(c10::Device device) {
  if (!device.is_cpu())
    c10::impl::VirtualGuardImpl(device.type()).synchronizeDevice(device.index());
}

template <class Work>
double seconds_of(c10::Device device, Work&& work) {
  using Clock = std::chrono::steady_clock;
  wait_for(device);
  const auto start = Clock::now();
  work();
  wait_for(device);
  return std::chrono::duration<double>(Clock::now() - start).count();
}

RepeatedTime summary(std::vector<double> seconds) {
  std::ranges::sort(seconds);
  return {seconds[seconds.size() / 2], seconds.front(), seconds.back()};
}

double relative_error(const at::Tensor& y, const at::Tensor& x) {
  const at::Tensor expected = x.to(at::kDouble);
  return ((y.to(at::kDouble) - expected).norm() / expected.norm()).item<double>();
}

/// Both ends of one direction of one link.
class Link {
 public:
  Link(const dist::CompressorChoice& choice, const at::Tensor& x, RunContext& context)
      : sender_(dist::make_compressor(choice, context)),
        receiver_(dist::make_compressor(choice, context)),
        name_(sender_.get_deleter().name()),
        samples_(static_cast<size_t>(x.size(0))),
        device_(x.device()) {
    std::iota(samples_.begin(), samples_.end(), 0);
    info_ = {.spec = {x.sizes().vec(), x.scalar_type()}, .samples = samples_};
    wire_ = at::empty({wire_bytes()}, at::TensorOptions(at::kByte).device(device_));
  }

  int64_t wire_bytes() const {
    return plugin::guarded(name_, "wire_bytes", [&] { return sender_->wire_bytes(info_.spec); });
  }

  /// One message; its times are in encode_s and decode_s.
  at::Tensor transfer(const at::Tensor& x) {
    at::Tensor y;
    encode_s = seconds_of(device_, [&] {
      plugin::guarded(name_, "encode", [&] { sender_->encode(x, wire_, info_); });
    });
    decode_s = seconds_of(device_, [&] {
      y = plugin::guarded(name_, "decode", [&] { return receiver_->decode(wire_, info_); });
    });
    ++info_.step;
    return y;
  }

  double encode_s = 0, decode_s = 0;

 private:
  plugin::PluginPtr<Compressor> sender_, receiver_;
  const plugin::PluginName& name_;
  std::vector<int64_t> samples_;
  c10::Device device_;
  MessageInfo info_;
  at::Tensor wire_;
};

}  // namespace

CompressorFigures benchmark_compressor(const dist::CompressorChoice& choice,
                                       const BoundaryData& data, int64_t repeats,
                                       RunContext& context) {
  QTK_CHECK(repeats >= 1, "a benchmark of no repeats");
  Link link(choice, data.first, context);
  CompressorFigures figures{.bytes = link.wire_bytes()};
  figures.bits_per_element =
      8 * static_cast<double>(figures.bytes) / static_cast<double>(data.first.numel());
  const at::Tensor y = link.transfer(data.first);
  figures.relative_error = relative_error(y, data.first);
  figures.largest_error =
      (y.to(at::kDouble) - data.first.to(at::kDouble)).abs().max().item<double>();
  figures.revisit_relative_error = relative_error(link.transfer(data.second), data.second);
  std::vector<double> encode_s, decode_s;
  for (int64_t i = 0; i < repeats; ++i) {
    stop_if_interrupted();
    link.transfer(i % 2 == 0 ? data.first : data.second);
    encode_s.push_back(link.encode_s);
    decode_s.push_back(link.decode_s);
  }
  figures.encode = summary(std::move(encode_s));
  figures.decode = summary(std::move(decode_s));
  return figures;
}

}  // namespace qtk::stage
