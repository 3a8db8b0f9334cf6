#include <qtk/bit_packing.hpp>
#include <qtk/runtime/error.hpp>
#include <qtk/runtime/random.hpp>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <chrono>

namespace qtk {
namespace {

at::Tensor random_codes(int64_t rows, int64_t n, int bits) {
  RandomStream random({.seed = 1, .purpose = "test.codes", .step = bits});
  at::Tensor codes = at::empty({rows, n}, at::kByte);
  for (int64_t i = 0; i < codes.numel(); ++i)
    codes.data_ptr<uint8_t>()[i] = static_cast<uint8_t>(random.below(uint64_t{1} << bits));
  return codes;
}

/// Bit by bit, as the header draws it.
at::Tensor pack_bits_ref(const at::Tensor& codes, int bits) {
  const int64_t n = codes.size(1);
  at::Tensor packed = at::zeros({codes.size(0), (n * bits + 7) / 8}, at::kByte);
  for (int64_t row = 0; row < codes.size(0); ++row)
    for (int64_t j = 0; j < n; ++j)
      for (int bit = 0; bit < bits; ++bit) {
        const int64_t k = j * bits + bit;
        if (codes.data_ptr<uint8_t>()[row * n + j] >> bit & 1)
          packed.data_ptr<uint8_t>()[row * packed.size(1) + k / 8] |=
              static_cast<uint8_t>(1 << (k % 8));
      }
  return packed;
}

TEST(BitPacking, EqualsTheDefinitionForEveryWidthAndRemainder) {
  for (int bits = 1; bits <= 8; ++bits)
    for (const int64_t n : {0, 1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 63, 64, 65, 200}) {
      const at::Tensor codes = random_codes(3, n, bits);

      const at::Tensor packed = pack_bits(codes, bits);

      EXPECT_TRUE(at::equal(packed, pack_bits_ref(codes, bits)))
          << bits << " bits, " << n << " codes";
      EXPECT_TRUE(at::equal(unpack_bits(packed, bits, n), codes))
          << bits << " bits, " << n << " codes";
    }
}

TEST(BitPacking, FourBitsPutTheFirstCodeIntoTheLowNibble) {
  const at::Tensor codes = at::tensor({1, 2, 15, 8, 7}, at::kByte).unsqueeze(0);

  EXPECT_TRUE(
      at::equal(pack_bits(codes, 4), at::tensor({0x21, 0x8f, 0x07}, at::kByte).unsqueeze(0)));
}

TEST(BitPacking, StridedCodesAndNoRowsAreFine) {
  const at::Tensor codes = random_codes(40, 24, 3);

  EXPECT_TRUE(at::equal(pack_bits(codes.t(), 3), pack_bits(codes.t().contiguous(), 3)));
  EXPECT_EQ(pack_bits(codes.slice(0, 0, 0), 3).sizes(), (std::vector<int64_t>{0, 9}));
  EXPECT_EQ(unpack_bits(at::empty({0, 9}, at::kByte), 3, 24).sizes(),
            (std::vector<int64_t>{0, 24}));
}

TEST(BitPacking, CodeThatIsTooWideIsNamedWhereverItStands) {
  for (int bits = 1; bits < 8; ++bits)
    for (const int64_t column : {0, 7, 15, 16, 18}) {
      at::Tensor codes = at::zeros({5, 19}, at::kByte);
      codes[3][column] = 1 << bits;

      try {
        pack_bits(codes, bits);
        ADD_FAILURE() << bits << " bits accept " << (1 << bits);
      } catch (const Error& error) {
        EXPECT_EQ(std::string(error.what()), "code " + std::to_string(1 << bits) + " at [3, " +
                                                 std::to_string(column) + "] does not fit into " +
                                                 std::to_string(bits) + " bits");
      }
    }
}

TEST(BitPacking, WrongArgumentsAreRefused) {
  const at::Tensor codes = random_codes(2, 8, 4);

  EXPECT_THROW(pack_bits(codes, 0), Error);
  EXPECT_THROW(pack_bits(codes, 9), Error);
  EXPECT_THROW(pack_bits(codes.to(at::kInt), 4), Error);
  EXPECT_THROW(pack_bits(codes[0], 4), Error);
  EXPECT_THROW(unpack_bits(codes, 4, 14), DataError);
  EXPECT_THROW(unpack_bits(codes, 4, 17), DataError);
  EXPECT_THROW(unpack_bits(codes.to(at::kChar), 4, 16), DataError);
  EXPECT_THROW(unpack_bits(codes, 0, 16), Error);
}

TEST(BitPacking, OneCoreKeepsUpWithAHardDisk) {
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  for (const int bits : {2, 3, 4, 8}) {
    const at::Tensor codes = random_codes(512, 4096, bits);
    double best_pack = 1e9, best_unpack = 1e9;
    for (int run = 0; run < 7; ++run) {
      const auto begin = std::chrono::steady_clock::now();
      const at::Tensor packed = pack_bits(codes, bits);
      const auto middle = std::chrono::steady_clock::now();
      const at::Tensor unpacked = unpack_bits(packed, bits, codes.size(1));
      const auto end = std::chrono::steady_clock::now();
      best_pack = std::min(best_pack, std::chrono::duration<double>(middle - begin).count());
      best_unpack = std::min(best_unpack, std::chrono::duration<double>(end - middle).count());
    }
    const double megabytes = static_cast<double>(codes.numel()) / 1e6;
    RecordProperty("pack_MB_per_s_" + std::to_string(bits),
                   static_cast<int>(megabytes / best_pack));
    RecordProperty("unpack_MB_per_s_" + std::to_string(bits),
                   static_cast<int>(megabytes / best_unpack));
    // The aim is 500; tests share their machine.
    EXPECT_GT(megabytes / best_pack, 100) << bits << " bits";
    EXPECT_GT(megabytes / best_unpack, 100) << bits << " bits";
  }
  at::set_num_threads(threads);
}

}  // namespace
}  // namespace qtk
