#include "format/ggml_blocks.hpp"

#include "format/ggml_kernels.hpp"
#include "format_fixtures.hpp"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>
#include <set>

namespace qtk::format {
namespace {

const char* const kQuantized[] = {"F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"};

std::span<const std::byte> bytes_of(const at::Tensor& tensor) {
  return {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()};
}

/// Numbers by the Python package gguf.
class GgmlGolden : public ::testing::Test {
 protected:
  const SafetensorsFile file_ = SafetensorsFile::open(golden("blocks.safetensors"));
};

TEST_F(GgmlGolden, DequantizingGivesTheSameBits) {
  for (const std::string name :
       {"F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q6_K"}) {
    const auto expected = file_.tensor(name + ".values");

    const auto values = dequantize_blocks(ggml_type(name), bytes_of(file_.tensor(name + ".blocks")),
                                          expected.sizes(), name);

    expect_same_bits(values, expected, name);
  }
}

TEST_F(GgmlGolden, QuantizingGivesTheSameBytes) {
  const auto input = file_.tensor("input");
  for (const std::string name : kQuantized)
    expect_same_bits(quantize_blocks(ggml_type(name), input, name), file_.tensor(name + ".blocks"),
                     name);
}

TEST(GgmlTernary, BlocksAreThoseOfOtherImplementations) {
  const auto file = SafetensorsFile::open(golden("ternary.safetensors"));
  const auto input = file.tensor("input");
  for (const std::string name : {"TQ1_0", "TQ2_0", "Q2_0"}) {
    const auto blocks = file.tensor(name + ".blocks");

    expect_same_bits(quantize_blocks(ggml_type(name), input, name), blocks, name);
    expect_same_bits(dequantize_blocks(ggml_type(name), bytes_of(blocks), input.sizes(), name),
                     file.tensor(name + ".values"), name);
  }
}

TEST(GgmlTernary, EveryCodeInEveryPlaceComesBack) {
  for (const std::string name : {"TQ1_0", "TQ2_0", "Q2_0"}) {
    const auto& type = ggml_type(name);
    const int64_t n = type.block_size;
    for (const double level : {-1.0, 1.0}) {
      auto x = at::eye(n) * level;                          // one weight at a time
      const auto rest = at::ones({n, n}) - at::eye(n) * 2;  // and all the others
      for (const auto& w : {x, rest}) {
        const auto blocks = quantize_blocks(type, w, name);
        EXPECT_TRUE(at::equal(dequantize_blocks(type, bytes_of(blocks), w.sizes(), name), w))
            << name;
      }
    }
  }
}

TEST(GgmlTernary, FourLevelsSurviveQ2_0OnEitherSide) {
  const auto& type = ggml_type("Q2_0");
  for (const double d : {0.25, -0.25}) {
    const auto w = ((at::arange(128) * 7).remainder(4).to(at::kFloat) - 1).reshape({2, 64}) * d;

    const auto blocks = quantize_blocks(type, w, "w");

    EXPECT_TRUE(at::equal(dequantize_blocks(type, bytes_of(blocks), w.sizes(), "w"), w)) << d;
  }
}

TEST(GgmlTernary, LevelStepFindsTheGridOrSaysThereIsNone) {
  using kernels::level_step;
  const auto step = [](std::vector<float> x, bool has_double) {
    return level_step(x.data(), static_cast<int64_t>(x.size()), has_double);
  };
  EXPECT_EQ(step({0, -0.0f, 0}, false), 0.0f);
  EXPECT_EQ(step({0.3f, 0, -0.3f}, false), 0.3f);
  EXPECT_EQ(step({0.3f, -0.3f, 0.3f}, false), 0.3f);  // binary
  EXPECT_EQ(step({0.3f, 0, std::nextafter(-0.3f, 0.0f)}, false), std::nullopt);
  EXPECT_EQ(step({0.3f, 0, 0.6f}, false), std::nullopt);
  EXPECT_EQ(step({0.3f, -0.3f, 0.6f}, true), 0.3f);
  EXPECT_EQ(step({0.3f, -0.3f, -0.6f}, true), -0.3f);
  EXPECT_EQ(step({0.3f, 0.6f, -0.6f}, true), std::nullopt);
  EXPECT_EQ(step({0.3f, 0.9f}, true), std::nullopt);
  EXPECT_EQ(step({0.3f, std::nanf("")}, true), std::nullopt);
}

TEST(GgmlBlocks, QuantizingIsWithinHalfAStep) {
  const auto x = at::randn({64, 256});
  const struct {
    const char* name;
    double steps;  // half a step in parts of the block's largest magnitude, and what rounding the
                   // scale to fp16 adds
  } kCases[] = {{"Q8_0", 1.15 / 254},
                {"Q4_0", 1.05 / 8},
                {"Q4_1", 1.05 / 15},
                {"Q5_0", 1.05 / 16},
                {"Q5_1", 1.05 / 31}};
  const auto magnitude =
      x.reshape({64, 8, 32}).abs().amax(-1, true).expand({64, 8, 32}).reshape({64, 256});
  for (const auto& [name, steps] : kCases) {
    const auto& type = ggml_type(name);
    const auto blocks = quantize_blocks(type, x, name);

    const auto error = (dequantize_blocks(type, bytes_of(blocks), x.sizes(), name) - x).abs();

    EXPECT_TRUE((error <= magnitude * steps).all().item<bool>()) << name;
  }
}

TEST(GgmlBlocks, QuantizingWhatWasQuantizedChangesNothing) {
  const auto x = at::randn({8, 64});
  for (const std::string name : {"F32", "F16", "BF16", "Q8_0", "Q4_0", "Q5_0"}) {
    const auto& type = ggml_type(name);
    const auto once =
        dequantize_blocks(type, bytes_of(quantize_blocks(type, x, name)), x.sizes(), name);

    const auto twice =
        dequantize_blocks(type, bytes_of(quantize_blocks(type, once, name)), x.sizes(), name);

    EXPECT_TRUE(at::allclose(twice, once, 1e-3, 0)) << name;
  }
}

TEST(GgmlBlocks, ThreadsGiveTheSameAsOneBlockAtATime) {
  const auto x = at::randn({300, 1024});  // several tasks of 65536 weights
  for (const std::string name : {"F16", "Q8_0", "Q4_1", "Q5_0"}) {
    const auto& type = ggml_type(name);
    const auto whole = quantize_blocks(type, x, name);

    for (const int64_t row : {0, 63, 64, 127, 299})
      expect_same_bits(whole[row], quantize_blocks(type, x[row], name), name);
    const auto values = dequantize_blocks(type, bytes_of(whole), x.sizes(), name);
    expect_same_bits(values[299],
                     dequantize_blocks(type, bytes_of(whole[299].clone()), {1024}, name), name);
  }
}

TEST(GgmlBlocks, AcceptAnyFloatingDtypeAndLayout) {
  const auto x = at::randn({32, 64}).to(at::kBFloat16);

  const auto blocks = quantize_blocks(ggml_type("Q8_0"), x.t(), "x");

  expect_same_bits(blocks,
                   quantize_blocks(ggml_type("Q8_0"), x.t().to(at::kFloat).contiguous(), "x"), "x");
  EXPECT_EQ(blocks.sizes(), (std::vector<int64_t>{64, 34}));
}

TEST(GgmlBlocks, TinyScalesStayFinite) {
  const auto x = at::full({1, 256}, 1e-42);  // 1 / d would be infinite
  for (const std::string name :
       {"Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "TQ1_0", "TQ2_0", "Q2_0"}) {
    const auto& type = ggml_type(name);

    const auto values =
        dequantize_blocks(type, bytes_of(quantize_blocks(type, x, name)), x.sizes(), name);

    EXPECT_TRUE(values.abs().le(1e-6).all().item<bool>()) << name << values;
  }
}

TEST(GgmlBlocks, RefuseWeightsThatNoScaleCanHold) {
  const double kInfinity = std::numeric_limits<double>::infinity();
  for (const double wrong : {std::nan(""), kInfinity, -kInfinity, 65505.0, -1e30}) {
    SCOPED_TRACE(wrong);
    auto x = at::zeros({4, 32});
    x[2][17] = wrong;
    for (const std::string name : {"F16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"})
      expect_contains(
          message_of([&] { quantize_blocks(ggml_type(name), x, "blk.0.w"); }),
          "blk.0.w holds NaN, infinity or a weight beyond 65504, which " + name + " cannot store");
  }

  auto x = at::full({1}, 65505.0);
  EXPECT_NO_THROW(quantize_blocks(ggml_type("BF16"), x, "x"));
  EXPECT_NO_THROW(quantize_blocks(ggml_type("F32"), x, "x"));
  x[0] = std::nan("");
  EXPECT_THROW(quantize_blocks(ggml_type("F32"), x, "x"), DataError);
}

TEST(GgmlTypes, SayWhatTheyCannotDo) {
  const std::vector<std::byte> block(176);

  expect_contains(
      message_of([&] { dequantize_blocks(ggml_type("Q5_K"), block, {256}, "blk.0.w"); }),
      "blk.0.w is of type Q5_K, which qtk cannot read");
  expect_contains(
      message_of<ConfigError>([&] { quantize_blocks(ggml_type("Q4_K"), at::zeros({256}), "w"); }),
      "w cannot be written as Q4_K");
  expect_contains(message_of<ConfigError>([&] {
                    quantize_blocks(ggml_type("Q8_0"), at::zeros({2, 48}), "w");
                  }),
                  "w has rows of 48 weights, which blocks of 32 (Q8_0) do not divide");
  expect_contains(message_of<ConfigError>([] { ggml_type("Q4_9"); }),
                  "there is no GGUF type 'Q4_9'");
  expect_contains(
      message_of<Error>([&] { dequantize_blocks(ggml_type("Q8_0"), block, {32}, "w"); }),
      "w: 176 bytes for shape [32] of Q8_0");
}

TEST(GgmlTypes, TheTableIsConsistent) {
  std::set<uint32_t> ids;
  std::set<std::string_view> names;
  for (const GgmlType& type : ggml_types()) {
    EXPECT_TRUE(ids.insert(type.id).second) << type.name;
    EXPECT_TRUE(names.insert(type.name).second) << type.name;
    EXPECT_EQ(find_ggml_type(type.id), &type);
    EXPECT_EQ(&ggml_type(type.name), &type);
    EXPECT_TRUE(type.dequantize != nullptr || type.quantize == nullptr) << type.name;
  }
  EXPECT_EQ(find_ggml_type(4), nullptr);
  EXPECT_EQ(readable_ggml_types(),
            "F32, F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q6_K, BF16, TQ1_0, TQ2_0, Q2_0");
  EXPECT_EQ(writable_ggml_types(),
            "F32, F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, BF16, TQ1_0, TQ2_0, Q2_0");
  EXPECT_DOUBLE_EQ(ggml_type("Q6_K").bpw(), 6.5625);
  EXPECT_DOUBLE_EQ(ggml_type("Q4_1").bpw(), 5.0);
}

}  // namespace
}  // namespace qtk::format
