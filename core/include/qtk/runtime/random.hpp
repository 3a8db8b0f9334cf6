// Counter-based random streams (Philox4x32-10, Salmon et al., SC 2011). A stream is named by what
// it is for; equal names give equal numbers whatever else ran before, so a resumed run needs no
// generator state.
#pragma once

#include <qtk/runtime/export.hpp>

#include <array>
#include <cstdint>
#include <string_view>

namespace at {
class Tensor;
}

namespace qtk {

/// Who asks for the numbers. Equal keys give equal streams.
struct RandomKey {
  uint64_t seed = 0;
  std::string_view purpose;  // for example "hutchpp.probe"
  int64_t step = 0;
  std::string_view site;  // name of a linear site, or empty
  int64_t rank = 0;       // 0 unless ranks must differ
};

/// One stream of 2^66 random words. Copies continue independently from the same position. Not
/// thread-safe.
class QTK_API RandomStream {
 public:
  explicit RandomStream(const RandomKey& key);
  /// The raw generator: a 64-bit key and a 128-bit counter that starts at `counter`.
  RandomStream(uint64_t key, uint64_t stream, uint64_t counter = 0);

  uint32_t next_u32();
  uint64_t next_u64();
  /// Uniform in [0, 1), 53 random bits.
  double uniform();
  /// Standard normal by the Box-Muller transform.
  double normal();
  /// Uniform integer in [0, bound), without modulo bias. @throws Error if bound is 0
  uint64_t below(uint64_t bound);

  /// Fill a contiguous CPU tensor of a floating dtype in place, element after element.
  void fill_uniform(at::Tensor& out);
  void fill_normal(at::Tensor& out);
  /// Each element -1 or +1 with equal probability.
  void fill_rademacher(at::Tensor& out);

  uint64_t key() const { return key_; }
  uint64_t stream() const { return stream_; }

  /// One Philox4x32-10 block; the published known-answer vectors apply.
  static std::array<uint32_t, 4> block(std::array<uint32_t, 4> counter,
                                       std::array<uint32_t, 2> key);

 private:
  uint64_t key_;
  uint64_t stream_;
  uint64_t counter_;
  std::array<uint32_t, 4> words_{};
  int used_ = 4;
  double spare_normal_ = 0;
  bool has_spare_ = false;
};

}  // namespace qtk
