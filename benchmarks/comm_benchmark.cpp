// Times of the compressors on one GPU, beside a device copy and TAH-Quant step by step:
//
//   comm_benchmark [BATCH [DTYPE [COMPRESSOR]]] > table
//
// us: a call in a CUDA graph over rotating buffers that together exceed the second-level cache.
// eager: a call from the host on one buffer. GB/s: bytes of the tensor and of the message. copy:
// share of the copy's rate, bytes read and written.
#include "base/device.hpp"
#include "device_timer.hpp"
#include "stepwise_tah.hpp"

#include <qtk/plugin.hpp>
#include <qtk/testing/plugin_under_test.hpp>

#include <ATen/ATen.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

namespace qtk {
namespace {

constexpr int64_t kCacheBytes = int64_t{128} << 20;  // above an H100's 50 MB and an H200's 60 MB

struct Subject {
  const char *id, *options;
};

constexpr Subject kSubjects[] = {{"none", "{}"},
                                 {"none", "{dtype: bf16}"},
                                 {"fixpoint", "{bits: 8}"},
                                 {"fixpoint", "{bits: 6}"},
                                 {"fixpoint", "{bits: 4, scale_per: token}"},
                                 {"tah", "{}"},
                                 {"tah", "{allocation: range}"},
                                 {"tah", "{allocation: token}"},
                                 {"tah", "{threshold: 0}"},
                                 {"tah", "{tile_size: 32}"},
                                 {"delta", "{}"},
                                 {"delta_lowbits", "{}"}};

struct Buffers {
  std::vector<at::Tensor> x, wire, y;
};

Buffers buffers_for(const Compressor& link, at::IntArrayRef shape, at::ScalarType dtype,
                    at::Device device) {
  const auto options = at::dtype(dtype).device(device);
  const int64_t bytes = link.wire_bytes({shape.vec(), dtype}),
                elements = shape[0] * shape[1] * shape[2],
                all = bytes + elements * static_cast<int64_t>(c10::elementSize(dtype));
  const int64_t sets = std::clamp<int64_t>((2 * kCacheBytes + all - 1) / all, 2, 64);
  Buffers buffers;
  for (int64_t i = 0; i < sets; ++i) {
    buffers.x.push_back(at::randn(shape, options.dtype(at::kFloat)).to(dtype));
    buffers.wire.push_back(at::empty({bytes}, options.dtype(at::kByte)));
    buffers.y.emplace_back();
  }
  return buffers;
}

double copy_rate(at::Device device) {
  constexpr int64_t kBytes = int64_t{512} << 20;
  const at::Tensor from = at::randn({kBytes / 4}, at::device(device)), to = at::empty_like(from);
  return 2.0 * kBytes / eager_us(device, {4, [&](int) { to.copy_(from); }});
}

struct Step {
  double encode = 0, decode = 0;  // us
};

Step stepwise(const at::Tensor& x) {
  const StepwiseTah steps;
  const at::Tensor message = steps.encode(x);
  return {eager_us(x.device(), {1, [&](int) { steps.encode(x); }}),
          eager_us(x.device(), {1, [&](int) { steps.decode(message, x.sizes()); }})};
}

void print(const char* what, const Subject& subject, int64_t bytes, double us, double eager,
           double rate, double step) {
  std::printf("%-6s %-13s %-28s %9.2f %9.2f %7.0f %5.0f%%", what, subject.id, subject.options, us,
              eager, static_cast<double>(bytes) / us * 1e-3,
              100 * static_cast<double>(bytes) / us / rate);
  if (step > 0) std::printf(" %7.0f x", step / us);
  std::printf("\n");
}

void measure(const Subject& subject, at::IntArrayRef shape, at::ScalarType dtype, at::Device device,
             double rate, const Step& step) {
  const auto sender = testing::make<Compressor>(subject.id, subject.options),
             receiver = testing::make<Compressor>(subject.id, subject.options);
  const std::vector<int64_t> samples(static_cast<size_t>(shape[0]), 7);
  const MessageInfo info{.spec = {shape.vec(), dtype}, .samples = samples};
  Buffers b = buffers_for(*sender, shape, dtype, device);
  const auto at = [](int i) { return static_cast<size_t>(i); };
  const Timed encode{static_cast<int>(b.x.size()),
                     [&](int i) { sender->encode(b.x[at(i)], b.wire[at(i)], info); }},
      decode{static_cast<int>(b.x.size()),
             [&](int i) { b.y[at(i)] = receiver->decode(b.wire[at(i)], info); }},
      encode_one{20, [&](int) { sender->encode(b.x[0], b.wire[0], info); }},
      decode_one{20, [&](int) { b.y[0] = receiver->decode(b.wire[0], info); }};
  // A memory of samples belongs to the host's calls; its graph would always code the same samples.
  const bool has_memory = std::string(subject.id).starts_with("delta");
  const auto time = has_memory ? eager_us : graph_us;
  const int64_t bytes = b.x[0].numel() * b.x[0].element_size() + b.wire[0].numel();
  const bool is_tah = std::string(subject.id) == "tah";
  const double encode_us = time(device, encode), encode_eager = eager_us(device, encode_one);
  print("encode", subject, bytes, encode_us, encode_eager, rate, is_tah ? step.encode : 0);
  const double decode_us = time(device, decode), decode_eager = eager_us(device, decode_one);
  print("decode", subject, bytes, decode_us, decode_eager, rate, is_tah ? step.decode : 0);
}

/// Whether an argument names this value, or is not given.
bool is_wanted(const std::vector<std::string>& arguments, size_t at, const std::string& value) {
  return arguments.size() <= at || arguments[at] == value;
}

void measure_all(at::Device device, const std::vector<std::string>& arguments) {
  cudaDeviceProp properties;
  if (cudaGetDeviceProperties(&properties, device.index()) == cudaSuccess)
    std::printf("%s, %d multiprocessors\n", properties.name, properties.multiProcessorCount);
  const double rate = copy_rate(device);  // bytes per microsecond
  std::printf("device copy: %.0f GB/s\n", rate * 1e-3);
  for (const int64_t batch : {1, 10, 40})
    for (const auto dtype : {at::kBFloat16, at::kFloat}) {
      const std::string type = dtype == at::kFloat ? "f32" : "bf16";
      if (!is_wanted(arguments, 0, std::to_string(batch)) || !is_wanted(arguments, 1, type))
        continue;
      const std::vector<int64_t> shape = {batch, 1024, 1600};
      const Step step = stepwise(at::randn(shape, at::device(device)).to(dtype));
      std::printf("\n[%ld, 1024, 1600] %s; TAH step by step: encode %.0f us, decode %.0f us\n",
                  batch, type.c_str(), step.encode, step.decode);
      std::printf("%-6s %-13s %-28s %9s %9s %7s %6s %9s\n", "", "compressor", "options", "us",
                  "eager", "GB/s", "copy", "stepwise");
      for (const Subject& subject : kSubjects)
        if (is_wanted(arguments, 2, subject.id)) measure(subject, shape, dtype, device, rate, step);
    }
  std::printf("\ndevice copy, again: %.0f GB/s\n", copy_rate(device) * 1e-3);
}

}  // namespace
}  // namespace qtk

int main(int count, char** arguments) {
  try {
    qtk::measure_all(qtk::open_device("cuda"), {arguments + 1, arguments + count});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "comm_benchmark: %s\n", error.what());
    return 1;
  }
}
