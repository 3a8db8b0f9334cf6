// TAH-Quant: the reference against the published messages, the fast path against the reference.
#include "link.hpp"
#include "original_vectors.hpp"

#include <qtk/testing/compressor_contract.hpp>
#include <qtk/testing/config_error.hpp>

#include <gtest/gtest.h>
#include <original_stream/original_tah.hpp>

#include <limits>

// A token of the contract's activations has 64 channels: one tile, and never a low one.
QTK_INSTANTIATE_CONTRACT(CompressorContract,
                         {.id = "tah",
                          .matters_with = {{"low_precision_bits", "{tile_size: 8}"}},
                          .relative_error = 0.15});
QTK_INSTANTIATE_CONTRACT(CompressorContract, {.id = "tah",
                                              .options = "{allocation: token, tile_size: 16, "
                                                         "metadata_dtype: f16, codes_for: exact}",
                                              .relative_error = 0.15});
QTK_INSTANTIATE_CONTRACT(CompressorContract, {.id = "tah",
                                              .options = "{allocation: range, tile_size: 8, "
                                                         "threshold: 0}",
                                              .relative_error = 0.15});

namespace qtk {
namespace {

using testing::Link;
using testing::tensor;

/// Options under which the fast path chooses the original's codes. The ratio rounds differently:
/// here `ceil(r S)` tokens get the high precision.
std::string as_original(const original::TahOptions& o, int64_t low_tokens, int64_t sequence) {
  const double ratio = static_cast<double>(sequence - low_tokens) / static_cast<double>(sequence);
  return "{allocation: token, metadata_dtype: f16, codes_for: exact, tile_size: " +
         std::to_string(o.tile_size) + ", high_precision_bits: " + std::to_string(o.high_bits) +
         ", low_precision_bits: " + std::to_string(o.low_bits) +
         ", high_precision_ratio: " + std::to_string(ratio) + "}";
}

std::vector<uint8_t> unpacked(const at::Tensor& wire, int64_t count, int bits) {
  std::vector<uint8_t> codes;
  const auto* bytes = wire.const_data_ptr<uint8_t>();
  for (int64_t i = 0; i < count; ++i) {
    unsigned code = 0;
    for (int64_t bit = i * bits; bit < (i + 1) * bits; ++bit)
      code = code << 1 | (bytes[bit / 8] >> (7 - bit % 8) & 1U);
    codes.push_back(static_cast<uint8_t>(code));
  }
  return codes;
}

void expect_codes_of(const original::TahMessage& message, const original::TahOptions& options,
                     const at::Tensor& wire) {
  const auto low = static_cast<int64_t>(message.low_codes.size()),
             high = static_cast<int64_t>(message.high_codes.size());
  EXPECT_EQ(unpacked(wire, low, options.low_bits), message.low_codes);
  const at::Tensor rest = wire.slice(0, (low * options.low_bits + 7) / 8);
  EXPECT_EQ(unpacked(rest, high, options.high_bits), message.high_codes);
}

TEST(TahReference, GivesTheMessagesOfTheSmallVector) {
  for (const auto& expected : testing::small_messages()) {
    const at::Tensor x = testing::small_vector();

    const auto message = original::tah(x, expected.options);

    EXPECT_EQ(testing::hex(message.bytes), expected.hex);
    EXPECT_EQ(testing::crc32(message.bytes), expected.crc);
    const at::Tensor error = (message.decoded - x).to(at::kDouble);
    EXPECT_NEAR(error.abs().max().item<double>(), expected.max_error, 1e-6);
    EXPECT_NEAR(error.square().mean().item<double>(), expected.mean_square, 1e-9);
  }
}

TEST(TahReference, DecodesTheSmallVector) {
  const auto message = original::tah(testing::small_vector(), testing::small_messages()[0].options);

  EXPECT_TRUE(at::allclose(message.decoded, testing::small_decoded(), 1e-6, 1e-7));
}

TEST(TahReference, GivesTheEntropiesOfTheSmallVector) {
  const auto message = original::tah(testing::small_vector(), testing::small_messages()[0].options);
  const float tokens[] = {1.91613618F, 1.43307550F, 1.73772242F, 0.53037337F};
  for (size_t token = 0; token < 4; ++token)
    EXPECT_NEAR(message.entropies[token], tokens[token], 1e-6);

  const at::Tensor x = testing::small_vector();
  const float tiles[] = {1.31972992F, 1.13241633F, 0.59585774F, 1.37050239F,
                         0.64157581F, 1.36808292F, 0.21133722F, 0.63651417F};
  for (int64_t tile = 0; tile < 8; ++tile)
    EXPECT_NEAR(original::entropy(x.const_data_ptr<float>() + 4 * tile, 4), tiles[tile], 1e-6);
}

TEST(TahReference, GivesTheGeneratedMessages) {
  for (const auto& expected : testing::generated_messages()) {
    SCOPED_TRACE(expected.name);
    const at::Tensor x = expected.x();

    const auto message = original::tah(x, expected.options);

    EXPECT_EQ(static_cast<int64_t>(message.bytes.size()), expected.bytes);
    EXPECT_EQ(testing::crc32(message.bytes), expected.crc);
    EXPECT_EQ(testing::hex(std::span(message.bytes).first(16)), expected.first_bytes);
    EXPECT_EQ(message.rotated, expected.rotated);
    for (size_t i = 0; i < 4; ++i) {
      EXPECT_NEAR(message.entropies[i], expected.entropies[i], 1e-5);
      EXPECT_NEAR(message.decoded.view(-1)[static_cast<int64_t>(i)].item<float>(),
                  expected.decoded[i], 1e-5);
    }
    const at::Tensor error = (message.decoded - x).to(at::kDouble);
    EXPECT_NEAR(error.abs().max().item<double>(), expected.max_error, 1e-5);
    EXPECT_NEAR(error.square().mean().item<double>() / expected.mean_square, 1, 1e-4);
  }
}

TEST(TahReference, CountsLowTokensAsTheOriginal) {
  const std::pair<int64_t, int64_t> at_eight_tenths[] = {
      {5, 0},    {8, 1},     {10, 1},     {20, 3},     {64, 12},   {100, 19},
      {128, 25}, {512, 102}, {1024, 204}, {2048, 409}, {4096, 819}};
  for (const auto& [sequence, low] : at_eight_tenths)
    EXPECT_EQ(original::low_tokens(sequence, 0.8), low) << sequence;
  const std::pair<double, int64_t> of_1024[] = {{0.5, 512},  {0.6, 409}, {0.7, 307},
                                                {0.75, 256}, {0.9, 102}, {1.0, 0}};
  for (const auto& [ratio, low] : of_1024) EXPECT_EQ(original::low_tokens(1024, ratio), low);
}

TEST(Tah, ChoosesTheCodesOfTheReferenceAndDecodesTheSame) {
  std::vector<std::pair<at::Tensor, original::TahOptions>> cases;
  for (const auto& vector : testing::small_messages())
    cases.emplace_back(testing::small_vector(), vector.options);
  for (const auto& vector : testing::generated_messages())
    cases.emplace_back(vector.x(), vector.options);
  for (const auto& [x, options] : cases) {
    const auto message = original::tah(x, options);
    Link link("tah",
              as_original(options, original::low_tokens(x.size(1), options.high_ratio), x.size(1)));

    const at::Tensor y = link.send(x);

    expect_codes_of(message, options, link.wire);
    EXPECT_TRUE(at::allclose(y, message.decoded, 1e-6, 1e-6));
  }
}

TEST(Tah, RotatesATileWithIrrationalNormalisation) {
  const at::Tensor x = tensor({0.25, -0.5, 6, 0.125, -0.375, 0.75, 0.0625, -0.25}, {1, 1, 8});
  const struct {
    const char* options;
    std::vector<uint8_t> codes;
    double error;
  } cases[] = {{"{threshold: 2, high_precision_bits: 4", {7, 6, 5, 2, 5, 13, 0, 15}, 0.000203969},
               {"{threshold: -1, high_precision_bits: 4", {2, 0, 15, 1, 0, 3, 1, 1}, 0.014846928},
               {"{threshold: 2, high_precision_bits: 3", {3, 3, 2, 1, 2, 6, 0, 7}, 0.001943640},
               {"{threshold: -1, high_precision_bits: 3", {1, 0, 7, 1, 0, 1, 1, 0}, 0.054955125}};
  for (const auto& expected : cases) {
    Link link("tah", std::string(expected.options) +
                         ", tile_size: 8, high_precision_ratio: 1, metadata_dtype: f16, "
                         "codes_for: exact}");

    const at::Tensor y = link.send(x);

    const int bits = expected.codes[7] == 15 || expected.codes[2] == 15 ? 4 : 3;
    EXPECT_EQ(unpacked(link.wire, 8, bits), expected.codes);
    EXPECT_NEAR(testing::mean_square_error(y, x), expected.error, 2e-8);
  }
}

TEST(Tah, GivesTheHighPrecisionToTheTilesOfHighEntropy) {
  // A tile of each token of the small vector: first, second, second, second.
  Link link("tah", "{tile_size: 4, high_precision_ratio: 0.5}");

  link.send(testing::small_vector());

  const int64_t precision_at = 6 + 8 + 2 * 2 * 8;
  EXPECT_EQ(link.wire[precision_at].item<int>(), 0b01'10'10'10) << "1: low precision";
}

TEST(Tah, GivesTheHighPrecisionToTheTilesOfLargeRange) {
  Link link("tah", "{tile_size: 4, high_precision_ratio: 0.5, allocation: range}");

  link.send(testing::small_vector());

  // Ranges 2.75 | 3.75, rotated 1.25 | 2.25, 1 | 5.5, 0.1875 | 0.125.
  EXPECT_EQ(link.wire[6 + 8 + 2 * 2 * 8].item<int>(), 0b10'10'10'01);
}

TEST(Tah, StaysFiniteWhereTheOriginalOverflows) {
  const at::Tensor x =
      tensor({0, 0, 0, 0, 0, 0, 8, 0, -2e5, 0, 0, 0, 1e5, 9e4, -3e4, 7e4, 1, 2, 4, 2, -1, 1, -1, 1},
             {1, 3, 8});
  const auto message = original::tah(x, {.tile_size = 4, .high_ratio = 1});
  EXPECT_TRUE(at::equal(message.decoded[0][0], x[0][0]));
  EXPECT_FALSE(message.decoded.isfinite().all().item<bool>()) << "the original's overflow";
  EXPECT_TRUE(at::allclose(
      message.decoded.slice(1, 2),
      tensor({0.93310547, 1.9995117, 4.0659180, 1.9995117, -1, 0.99951172, -1, 0.99951172},
             {1, 1, 8}),
      1e-6));
  for (const char* metadata : {"bf16", "f16"})
    for (const char* codes : {"stored", "exact"}) {
      Link link("tah", "{tile_size: 4, high_precision_ratio: 1, metadata_dtype: " +
                           std::string(metadata) + ", codes_for: " + codes + "}");

      const at::Tensor y = link.send(x);

      EXPECT_TRUE(y.isfinite().all().item<bool>()) << metadata << " " << codes;
      if (std::string(metadata) == "bf16") {
        EXPECT_LE((y - x).norm().item<double>(), 0.06 * x.norm().item<double>());
      }
    }
}

TEST(Tah, StaysFiniteAtTheEndsOfTheRange) {
  constexpr float kLargest = std::numeric_limits<float>::max();
  const at::Tensor x = testing::gaussian({2, 4, 256}, 3).sign() * kLargest;
  for (const char* allocation : {"token", "tile", "range"})
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      Link link("tah",
                "{tile_size: 256, threshold: 0, allocation: " + std::string(allocation) + "}");
      const at::Tensor finite = dtype == at::kFloat ? x : (x * 0.99F).to(dtype);

      EXPECT_TRUE(link.send(finite).isfinite().all().item<bool>()) << allocation;
    }
}

TEST(Tah, ErrorIsBelowHalfAStepWithoutRotation) {
  for (const float size : {1e-7F, 1.F, 1e9F}) {
    const at::Tensor x = testing::gaussian({2, 5, 64}, 8) * size;
    Link link("tah", "{tile_size: 16, threshold: -1, high_precision_ratio: 0}");

    const at::Tensor y = link.send(x);

    const at::Tensor tiles = x.view({2, 5, 4, 16});
    const at::Tensor least = tiles.amin(-1, true), range = tiles.amax(-1, true) - least;
    // The stored zero point lies up to 1 / 128 below, the stored scale as much above.
    const at::Tensor bound = (range + least.abs() / 128) / 7 / 2 * (1 + 1.0 / 64);
    EXPECT_TRUE(((y.view_as(tiles) - tiles).abs() <= bound).all().item<bool>()) << size;
  }
}

TEST(Tah, CodesCoverWhatRoundingTheZeroPointAdds) {
  // bf16 has 1000 and 1004 here, and their negatives: the zero point must not lie inside the tile.
  for (const float offset : {1003.F, -1001.F}) {
    const at::Tensor x = tensor({0, 0.25, 0.5, 1}, {1, 1, 4}) + offset;
    Link link("tah", "{tile_size: 4, threshold: -1, high_precision_bits: 7}");

    const at::Tensor y = link.send(x);

    EXPECT_LE((y - x).abs().max().item<float>(), (1 + 4) / 127.F / 2 * 1.02F) << offset;
  }
}

TEST(Tah, TiesGoToTheEarlierUnit) {
  Link link("tah", "{tile_size: 4, high_precision_ratio: 0.5}");

  link.send(at::ones({1, 2, 16}));

  const int64_t precision_at = 16 * 3 / 8 + 16 * 4 / 8 + 2 * 2 * 8;
  EXPECT_EQ(link.wire[precision_at].item<int>(), 0b1100'1100);
}

TEST(Tah, SizeFollowsFromTheShape) {
  const auto bytes = [](const std::string& options, std::vector<int64_t> shape) {
    return testing::make<Compressor>("tah", options)->wire_bytes({std::move(shape), at::kFloat});
  };
  // 25,600 tiles: codes 1600 (204 * 3 + 820 * 4) / 8, 4 bytes and 7 bits a tile, a bit a token.
  EXPECT_EQ(bytes("{allocation: token}", {1, 1024, 1600}), 903328);
  // Of 25 tiles a token 20 are high: 3.8 bits an element; 40 bits a tile.
  EXPECT_EQ(bytes("{}", {1, 1024, 1600}), 1024 * 1600 * 19 / 40 + 25600 * 5);
  EXPECT_EQ(bytes("{high_precision_ratio: 0.7}", {1, 1, 640}),
            (7 * 4 + 3 * 3) * 8 + 40 + 2 + 2 + 8);
}

TEST(Tah, RefusesWhatItCannotDo) {
  EXPECT_CONFIG_ERROR("tah", "{tile_size: 48}", "power of two");
  EXPECT_CONFIG_ERROR("tah", "{low_precision_bits: 5}", "is above high_precision_bits 4");
  Link link("tah", "{}");
  EXPECT_THROW(link.sender->wire_bytes({{1, 8, 96}, at::kFloat}), ConfigError);
}

TEST(Tah, ADamagedPrecisionMapIsAnError) {
  Link link("tah", "{tile_size: 4, high_precision_ratio: 0.5}");
  const at::Tensor x = testing::small_vector();
  link.send(x);
  at::Tensor damaged = link.wire.clone();
  damaged[6 + 8 + 2 * 2 * 8] = 0;

  EXPECT_THROW(link.receiver->decode(damaged, {.spec = {x.sizes().vec(), at::kFloat}}), DataError);
}

}  // namespace
}  // namespace qtk
