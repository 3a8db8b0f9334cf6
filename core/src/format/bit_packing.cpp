#include <qtk/bit_packing.hpp>
#include <qtk/runtime/check.hpp>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>

namespace qtk {
namespace {

constexpr int64_t kCodesPerTask = 1 << 16;

void check_bits(int bits) {
  QTK_CHECK(bits >= 1 && bits <= 8, "a packed code has 1 to 8 bits, got ", bits);
}

/// Codes that fill whole bytes go through a 64-bit window; eight codes of b bits are b bytes.
void pack_row(const uint8_t* codes, int64_t n, int bits, uint8_t* out) {
  int64_t j = 0;
  for (; j + 8 <= n; j += 8, out += bits) {
    uint64_t window = 0;
    for (int k = 0; k < 8; ++k) window |= static_cast<uint64_t>(codes[j + k]) << (k * bits);
    for (int byte = 0; byte < bits; ++byte) out[byte] = static_cast<uint8_t>(window >> (8 * byte));
  }
  uint64_t window = 0;
  for (int64_t k = j; k < n; ++k) window |= static_cast<uint64_t>(codes[k]) << ((k - j) * bits);
  for (int64_t bit = 0; bit < (n - j) * bits; bit += 8)
    *out++ = static_cast<uint8_t>(window >> bit);
}

void unpack_row(const uint8_t* packed, int64_t n, int bits, uint8_t* out) {
  const uint64_t mask = (uint64_t{1} << bits) - 1;
  int64_t j = 0;
  for (; j + 8 <= n; j += 8, packed += bits) {
    uint64_t window = 0;
    for (int byte = 0; byte < bits; ++byte)
      window |= static_cast<uint64_t>(packed[byte]) << (8 * byte);
    for (int k = 0; k < 8; ++k) out[j + k] = static_cast<uint8_t>(window >> (k * bits) & mask);
  }
  uint64_t window = 0;
  for (int64_t bit = 0, byte = 0; bit < (n - j) * bits; bit += 8, ++byte)
    window |= static_cast<uint64_t>(packed[byte]) << (8 * byte);
  for (int64_t k = j; k < n; ++k) out[k] = static_cast<uint8_t>(window >> ((k - j) * bits) & mask);
}

}  // namespace

at::Tensor pack_bits(const at::Tensor& codes, int bits) {
  check_bits(bits);
  QTK_CHECK(codes.dim() == 2 && codes.scalar_type() == at::kByte && codes.device().is_cpu(),
            "pack_bits needs uint8 codes [rows, n] on the CPU, got ", codes.scalar_type(), " ",
            codes.sizes());
  const auto source = codes.contiguous();
  QTK_CHECK(bits == 8 || source.numel() == 0 || source.max().item<int>() < 1 << bits,
            "a code needs more than ", bits, " bits");
  const int64_t rows = source.size(0), n = source.size(1), row_bytes = (n * bits + 7) / 8;
  auto packed = at::empty({rows, row_bytes}, at::kByte);
  const uint8_t* from = source.const_data_ptr<uint8_t>();
  uint8_t* to = packed.data_ptr<uint8_t>();
  at::parallel_for(0, rows, std::max<int64_t>(1, kCodesPerTask / std::max<int64_t>(n, 1)),
                   [&](int64_t begin, int64_t end) {
                     for (int64_t r = begin; r < end; ++r)
                       pack_row(from + r * n, n, bits, to + r * row_bytes);
                   });
  return packed;
}

at::Tensor unpack_bits(const at::Tensor& packed, int bits, int64_t n) {
  check_bits(bits);
  const int64_t row_bytes = (n * bits + 7) / 8;
  QTK_CHECK(packed.dim() == 2 && packed.scalar_type() == at::kByte && packed.device().is_cpu() &&
                packed.size(1) == row_bytes,
            "unpack_bits needs uint8 [rows, ", row_bytes, "] on the CPU, got ",
            packed.scalar_type(), " ", packed.sizes());
  const auto source = packed.contiguous();
  const int64_t rows = source.size(0);
  auto codes = at::empty({rows, n}, at::kByte);
  const uint8_t* from = source.const_data_ptr<uint8_t>();
  uint8_t* to = codes.data_ptr<uint8_t>();
  at::parallel_for(0, rows, std::max<int64_t>(1, kCodesPerTask / std::max<int64_t>(n, 1)),
                   [&](int64_t begin, int64_t end) {
                     for (int64_t r = begin; r < end; ++r)
                       unpack_row(from + r * row_bytes, n, bits, to + r * n);
                   });
  return codes;
}

}  // namespace qtk
