#include <qtk/runtime/check.hpp>
#include <qtk/runtime/random.hpp>

#include <ATen/Dispatch.h>
#include <ATen/core/Tensor.h>
#include <xxhash.h>

#include <cmath>
#include <numbers>

namespace qtk {
namespace {

uint64_t key_hash(const RandomKey& key) {
  XXH64_hash_t hash = XXH64(key.purpose.data(), key.purpose.size(), key.seed);
  const int64_t numbers[] = {key.step, key.rank};
  hash = XXH64(numbers, sizeof numbers, hash);
  return XXH64(key.site.data(), key.site.size(), hash);
}

template <class Draw>
void fill(at::Tensor& out, Draw&& draw) {
  QTK_CHECK(out.device().is_cpu() && out.is_contiguous(),
            "random fill needs a contiguous CPU tensor");
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, out.scalar_type(), "qtk_random_fill",
                                  [&] {
                                    auto* data = out.data_ptr<scalar_t>();
                                    for (int64_t i = 0; i < out.numel(); ++i)
                                      data[i] = static_cast<scalar_t>(draw());
                                  });
}

int mantissa_bits(at::ScalarType dtype) {
  switch (dtype) {
    case at::kDouble:
      return 53;
    case at::kFloat:
      return 24;
    case at::kHalf:
      return 11;
    default:
      return 8;  // bfloat16
  }
}

}  // namespace

RandomStream::RandomStream(const RandomKey& key) : RandomStream(key.seed, key_hash(key)) {}

RandomStream::RandomStream(uint64_t key, uint64_t stream, uint64_t counter)
    : key_(key), stream_(stream), counter_(counter) {}

std::array<uint32_t, 4> RandomStream::block(std::array<uint32_t, 4> counter,
                                            std::array<uint32_t, 2> key) {
  constexpr uint64_t kMultiplier0 = 0xD2511F53, kMultiplier1 = 0xCD9E8D57;
  constexpr uint32_t kWeyl0 = 0x9E3779B9, kWeyl1 = 0xBB67AE85;
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = kMultiplier0 * counter[0];
    const uint64_t product1 = kMultiplier1 * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0],
               static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1],
               static_cast<uint32_t>(product0)};
    key[0] += kWeyl0;
    key[1] += kWeyl1;
  }
  return counter;
}

uint32_t RandomStream::next_u32() {
  if (used_ == 4) {
    words_ = block({static_cast<uint32_t>(counter_), static_cast<uint32_t>(counter_ >> 32),
                    static_cast<uint32_t>(stream_), static_cast<uint32_t>(stream_ >> 32)},
                   {static_cast<uint32_t>(key_), static_cast<uint32_t>(key_ >> 32)});
    ++counter_;
    used_ = 0;
  }
  return words_[used_++];
}

uint64_t RandomStream::next_u64() {
  const uint64_t low = next_u32();
  return low | static_cast<uint64_t>(next_u32()) << 32;
}

double RandomStream::uniform() { return static_cast<double>(next_u64() >> 11) * 0x1.0p-53; }

double RandomStream::normal() {
  if (has_spare_) {
    has_spare_ = false;
    return spare_normal_;
  }
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
  const double angle = 2.0 * std::numbers::pi * uniform();
  spare_normal_ = radius * std::sin(angle);
  has_spare_ = true;
  return radius * std::cos(angle);
}

uint64_t RandomStream::below(uint64_t bound) {
  QTK_CHECK(bound > 0, "RandomStream::below needs a positive bound");
  const uint64_t threshold =
      (0 - bound) % bound;  // 2^64 mod bound: values below it would be counted once too often
  uint64_t value = next_u64();
  while (value < threshold) value = next_u64();
  return value % bound;
}

void RandomStream::fill_uniform(at::Tensor& out) {
  // Cut to the dtype's own grid first: rounding to nearest could give 1.
  const double steps = std::ldexp(1.0, mantissa_bits(out.scalar_type()));
  fill(out, [this, steps] { return std::floor(uniform() * steps) / steps; });
}
void RandomStream::fill_normal(at::Tensor& out) {
  fill(out, [this] { return normal(); });
}
void RandomStream::fill_rademacher(at::Tensor& out) {
  fill(out, [this] { return next_u32() & 1 ? 1.0 : -1.0; });
}

}  // namespace qtk
