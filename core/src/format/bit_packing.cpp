// Eight codes of b bits are exactly b bytes, whatever b is. A row is a run of such groups and at
// most one shorter one, so the inner loops work on one 64-bit word and have constant shifts.
#include <qtk/bit_packing.hpp>
#include <qtk/runtime/check.hpp>
#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <bit>
#include <cstring>
#include <utility>

namespace qtk {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr int64_t kGroup = 8;
constexpr int64_t kGrain = 1 << 16;  // codes for which another thread pays off

int64_t packed_bytes(int64_t n, int bits) { return (n * bits + 7) / 8; }

template <int kBits>
uint64_t gather(const uint8_t* codes, int64_t n) {
  uint64_t word = 0;
#pragma GCC unroll 8
  for (int64_t j = 0; j < n; ++j) word |= uint64_t{codes[j]} << (j * kBits);
  return word;
}

template <int kBits>
void scatter(uint64_t word, uint8_t* codes, int64_t n) {
  constexpr uint64_t kMask = (uint64_t{1} << kBits) - 1;
#pragma GCC unroll 8
  for (int64_t j = 0; j < n; ++j) codes[j] = static_cast<uint8_t>((word >> (j * kBits)) & kMask);
}

/// @returns all codes of the row or-ed together, as eight bytes
template <int kBits>
uint64_t pack_row(const uint8_t* codes, int64_t n, uint8_t* out) {
  uint64_t seen = 0;
  for (; n >= kGroup; n -= kGroup, codes += kGroup, out += kBits) {
    uint64_t raw;
    std::memcpy(&raw, codes, kGroup);
    seen |= raw;
    const uint64_t word = gather<kBits>(codes, kGroup);
    std::memcpy(out, &word, kBits);
  }
  for (int64_t j = 0; j < n; ++j) seen |= codes[j];
  const uint64_t word = gather<kBits>(codes, n);
  std::memcpy(out, &word, static_cast<size_t>(packed_bytes(n, kBits)));
  return seen;
}

template <int kBits>
void unpack_row(const uint8_t* packed, int64_t n, uint8_t* codes) {
  for (; n >= kGroup; n -= kGroup, codes += kGroup, packed += kBits) {
    uint64_t word = 0;
    std::memcpy(&word, packed, kBits);
    scatter<kBits>(word, codes, kGroup);
  }
  uint64_t word = 0;
  std::memcpy(&word, packed, static_cast<size_t>(packed_bytes(n, kBits)));
  scatter<kBits>(word, codes, n);
}

/// Calls function.operator()<bits>() for a width known at run time.
template <class Function>
auto with_width(int bits, Function&& function) {
  switch (bits) {
    case 1:
      return function.template operator()<1>();
    case 2:
      return function.template operator()<2>();
    case 3:
      return function.template operator()<3>();
    case 4:
      return function.template operator()<4>();
    case 5:
      return function.template operator()<5>();
    case 6:
      return function.template operator()<6>();
    case 7:
      return function.template operator()<7>();
    default:
      return function.template operator()<8>();
  }
}

bool exceeds(uint64_t seen, int bits) {
  const uint64_t limit = (uint64_t{0xff} << bits) & 0xff;
  return (seen & (limit * 0x0101010101010101u)) != 0;
}

[[noreturn]] void refuse_wide_code(const uint8_t* row, int64_t row_index, int bits) {
  int64_t column = 0;
  while (row[column] >> bits == 0) ++column;
  throw Error("code " + std::to_string(row[column]) + " at [" + std::to_string(row_index) + ", " +
              std::to_string(column) + "] does not fit into " + std::to_string(bits) + " bits");
}

template <class Row>
void for_each_row(int64_t rows, int64_t n, Row&& row) {
  at::parallel_for(0, rows, std::max<int64_t>(1, kGrain / std::max<int64_t>(1, n)),
                   [&](int64_t begin, int64_t end) {
                     for (int64_t i = begin; i < end; ++i) row(i);
                   });
}

}  // namespace

at::Tensor pack_bits(const at::Tensor& codes, int bits) {
  QTK_CHECK(bits >= 1 && bits <= 8, "pack_bits: bits is ", bits, ", expected 1 to 8");
  QTK_CHECK(codes.dim() == 2 && codes.scalar_type() == at::kByte && codes.device().is_cpu(),
            "pack_bits: codes must be [rows, n] uint8 on the CPU, got ", codes.toString(), " ",
            codes.sizes());
  const at::Tensor source = codes.contiguous();
  const int64_t rows = source.size(0), n = source.size(1), width = packed_bytes(n, bits);
  at::Tensor packed = at::empty({rows, width}, source.options());
  const auto* in = source.const_data_ptr<uint8_t>();
  auto* out = packed.mutable_data_ptr<uint8_t>();
  with_width(bits, [&]<int kBits>() {
    for_each_row(rows, n, [&](int64_t i) {
      if (exceeds(pack_row<kBits>(in + i * n, n, out + i * width), kBits))
        refuse_wide_code(in + i * n, i, kBits);
    });
  });
  return packed;
}

at::Tensor unpack_bits(const at::Tensor& packed, int bits, int64_t n) {
  QTK_CHECK(bits >= 1 && bits <= 8 && n >= 0, "unpack_bits: bits is ", bits, " and n is ", n);
  if (packed.dim() != 2 || packed.scalar_type() != at::kByte || !packed.device().is_cpu() ||
      packed.size(1) != packed_bytes(n, bits)) {
    std::ostringstream found;
    found << packed.toString() << " " << packed.sizes();
    throw DataError("packed codes must be [rows, " + std::to_string(packed_bytes(n, bits)) +
                    "] uint8 on the CPU for " + std::to_string(n) + " codes of " +
                    std::to_string(bits) + " bits, got " + found.str());
  }
  const at::Tensor source = packed.contiguous();
  const int64_t rows = source.size(0), width = source.size(1);
  at::Tensor codes = at::empty({rows, n}, source.options());
  const auto* in = source.const_data_ptr<uint8_t>();
  auto* out = codes.mutable_data_ptr<uint8_t>();
  with_width(bits, [&]<int kBits>() {
    for_each_row(rows, n, [&](int64_t i) { unpack_row<kBits>(in + i * width, n, out + i * n); });
  });
  return codes;
}

}  // namespace qtk
