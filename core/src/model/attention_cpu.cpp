#include "model/attention_cpu.hpp"

#include "model/attention_kernel.hpp"

#include <qtk/runtime/check.hpp>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

namespace qtk::model {
namespace {

using namespace attention_kernel;

Strided strided(const at::Tensor& x) {
  return {x.const_data_ptr<float>(), x.stride(0), x.stride(1), x.stride(2)};
}

struct Kernel {
  int64_t columns;  // of its tile
  void (*pack)(const Problem&, int64_t begin, int64_t end, Scratch& own);
  void (*attend)(const Problem&, int64_t begin, int64_t end, Scratch& own);
};

#if defined(__x86_64__)
#define QTK_AVX512 __attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")))
#define QTK_AVX2 __attribute__((target("avx2,fma")))
QTK_AVX512 void pack_avx512(const Problem& p, int64_t begin, int64_t end, Scratch& own) {
  pack_range<Avx512Tile>(p, begin, end, own);
}
QTK_AVX512 void attend_avx512(const Problem& p, int64_t begin, int64_t end, Scratch& own) {
  attend_range<Avx512Tile>(p, begin, end, own);
}
QTK_AVX2 void pack_avx2(const Problem& p, int64_t begin, int64_t end, Scratch& own) {
  pack_range<Avx2Tile>(p, begin, end, own);
}
QTK_AVX2 void attend_avx2(const Problem& p, int64_t begin, int64_t end, Scratch& own) {
  attend_range<Avx2Tile>(p, begin, end, own);
}

Kernel kernel_of(CpuAttention kind) {
  QTK_CHECK(kind != CpuAttention::kNone, "no attention kernel for this processor");
  if (kind == CpuAttention::kAvx512) return {Avx512Tile::kColumns, pack_avx512, attend_avx512};
  return {Avx2Tile::kColumns, pack_avx2, attend_avx2};
}

CpuAttention detect() {
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") &&
                          __builtin_cpu_supports("avx512vl") &&
                          __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
  return has_avx512 ? CpuAttention::kAvx512 : has_avx2 ? CpuAttention::kAvx2 : CpuAttention::kNone;
}
#else
Kernel kernel_of(CpuAttention) {
  QTK_CHECK(false, "no attention kernel for this processor");
  return {};
}
CpuAttention detect() { return CpuAttention::kNone; }
#endif

/// Pieces that are worth waking another thread; `cost` of one in multiples of what a processor
/// moves per cycle.
int64_t pieces_per_task(int64_t cost) {
  return std::max<int64_t>(1, 32768 / std::max<int64_t>(1, cost));
}

void run(const Problem& p, const Kernel& kernel) {
  using Phase = void (*)(const Problem&, int64_t, int64_t, Scratch&);
  const int64_t width = panels(p.head_dim, kernel.columns) * kernel.columns;
  const auto in_parallel = [&](Phase phase, int64_t pieces, int64_t pieces_per_task) {
    at::parallel_for(0, pieces, pieces_per_task, [&](int64_t begin, int64_t end) {
      // Aligned to a cache line, as ATen's memory is.
      const auto buffer = at::empty({kQueries * (kKeys + width + p.head_dim)}, at::kFloat);
      Scratch own;
      own.scores = buffer.mutable_data_ptr<float>();
      own.sums = own.scores + kQueries * kKeys;
      own.queries = own.sums + kQueries * width;
      phase(p, begin, end, own);
    });
  };
  const int64_t key_panels = panels(p.positions, kernel.columns),
                query_blocks = panels(p.positions, kQueries);
  in_parallel(kernel.pack, p.batch * p.kv_heads * key_panels,
              pieces_per_task(2 * kernel.columns * p.head_dim));
  in_parallel(kernel.attend, p.batch * p.heads * query_blocks,
              pieces_per_task(kQueries * std::min(p.positions, p.window) * p.head_dim / 8));
}

}  // namespace

CpuAttention best_cpu_attention() {
  static const CpuAttention best = detect();
  return best;
}

at::Tensor cpu_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                         const RotaryTable& rotary, std::optional<int64_t> window,
                         CpuAttention kind) {
  const int64_t batch = q.size(0), positions = q.size(1), heads = q.size(2), head_dim = q.size(3);
  const int64_t kv_heads = k.size(2);
  QTK_CHECK(k.sizes() == v.sizes() && k.size(0) == batch && k.size(1) == positions &&
                k.size(3) == head_dim && heads % kv_heads == 0,
            "attention: q ", q.sizes(), ", k ", k.sizes(), ", v ", v.sizes());
  QTK_CHECK(q.stride(3) == 1 && k.stride(3) == 1 && v.stride(3) == 1,
            "attention: features are not contiguous");
  const bool rotates = rotary.cosines.defined();
  QTK_CHECK(
      !rotates || (rotary.cosines.is_contiguous() && rotary.sines.is_contiguous() &&
                   rotary.cosines.size(0) >= positions && 2 * rotary.cosines.size(1) <= head_dim),
      "attention: rotary table does not fit");

  const Kernel kernel = kernel_of(kind);
  const int64_t padded = panels(positions, kernel.columns) * kernel.columns;
  const int64_t width = panels(head_dim, kernel.columns) * kernel.columns;
  const auto keys = at::empty({batch * kv_heads * padded * head_dim}, q.options());
  const auto values = at::empty({batch * kv_heads * padded * width}, q.options());
  auto out = at::empty({batch, positions, heads, head_dim}, q.options());
  run({.batch = batch,
       .positions = positions,
       .heads = heads,
       .kv_heads = kv_heads,
       .head_dim = head_dim,
       .window = window.value_or(positions),
       .rotated_half = rotates ? rotary.cosines.size(1) : 0,
       .cosines = rotates ? rotary.cosines.const_data_ptr<float>() : nullptr,
       .sines = rotates ? rotary.sines.const_data_ptr<float>() : nullptr,
       .q = strided(q),
       .k = strided(k),
       .v = strided(v),
       .keys = keys.mutable_data_ptr<float>(),
       .values = values.mutable_data_ptr<float>(),
       .out = out.mutable_data_ptr<float>()},
      kernel);
  return out;
}

}  // namespace qtk::model
