#include "latent_weight/base3.hpp"

#include <qtk/runtime/check.hpp>
#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>

namespace qtk::latent {
namespace {

constexpr int kCodesPerByte = 5;
constexpr int kValues = 243;  // 3^5
constexpr std::array<int, kCodesPerByte> kPowers = {1, 3, 9, 27, 81};

/// The codes of every byte, in 8 bytes so that they can be copied at once.
constexpr auto kDigits = [] {
  std::array<std::array<uint8_t, 8>, 256> digits{};
  for (int byte = 0; byte < 256; ++byte)
    for (int k = 0; k < kCodesPerByte; ++k)
      digits[byte][k] = static_cast<uint8_t>(byte / kPowers[k] % 3);
  return digits;
}();

void pack_row(const uint8_t* codes, int64_t n, uint8_t* packed) {
  for (int64_t at = 0; at < n; at += kCodesPerByte) {
    int byte = 0;
    for (int64_t k = 0; k < std::min<int64_t>(kCodesPerByte, n - at); ++k)
      byte += codes[at + k] * kPowers[static_cast<size_t>(k)];
    *packed++ = static_cast<uint8_t>(byte);
  }
}

/// Whether every byte was a number below 243.
bool unpack_row(const uint8_t* packed, int64_t n, uint8_t* codes) {
  bool is_sound = true;
  int64_t at = 0;
  for (; at + 8 <= n; at += kCodesPerByte) {  // writes 3 bytes ahead of what it means
    is_sound &= *packed < kValues;
    std::memcpy(codes + at, kDigits[*packed++].data(), 8);
  }
  for (; at < n; at += kCodesPerByte) {
    is_sound &= *packed < kValues;
    std::memcpy(codes + at, kDigits[*packed++].data(),
                static_cast<size_t>(std::min<int64_t>(kCodesPerByte, n - at)));
  }
  return is_sound;
}

int64_t rows_per_task(int64_t n) { return std::max<int64_t>(1, 65536 / std::max<int64_t>(1, n)); }

}  // namespace

int64_t base3_bytes(int64_t n) { return (n + kCodesPerByte - 1) / kCodesPerByte; }

at::Tensor pack_base3(const at::Tensor& codes) {
  const int64_t rows = codes.size(0), n = codes.size(1), bytes = base3_bytes(n);
  QTK_CHECK(codes.numel() == 0 || codes.max().item<int>() < 3, "a ternary code is above 2");
  at::Tensor packed = at::empty({rows, bytes}, at::kByte);
  const auto* from = codes.const_data_ptr<uint8_t>();
  auto* to = packed.data_ptr<uint8_t>();
  at::parallel_for(0, rows, rows_per_task(n), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) pack_row(from + row * n, n, to + row * bytes);
  });
  return packed;
}

at::Tensor unpack_base3(const at::Tensor& packed, int64_t n) {
  const int64_t rows = packed.size(0), bytes = base3_bytes(n);
  QTK_CHECK(packed.size(1) == bytes, "a row of ", n, " ternary codes has ", bytes, " bytes, got ",
            packed.size(1));
  const at::Tensor source = packed.contiguous();
  at::Tensor codes = at::empty({rows, n}, at::kByte);
  const auto* from = source.const_data_ptr<uint8_t>();
  auto* to = codes.data_ptr<uint8_t>();
  std::atomic<bool> is_sound = true;
  at::parallel_for(0, rows, rows_per_task(n), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      if (!unpack_row(from + row * bytes, n, to + row * n)) is_sound = false;
  });
  if (!is_sound)
    throw DataError("packed ternary codes hold a byte above 242",
                    "the file is damaged, or was written by another quantizer");
  return codes;
}

}  // namespace qtk::latent
