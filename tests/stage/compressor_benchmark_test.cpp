#include "stage/compressor_benchmark.hpp"

#include "stage_fixtures.hpp"
#include "text/corpus.hpp"
#include "text/tokenizer.hpp"
#include "text/windows.hpp"

#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>

namespace qtk::stage {
namespace {

constexpr BoundaryShape kShape = {2, 32, 256};

class CompressorBenchmark : public testing::Test {
 protected:
  CompressorFigures figures(const std::string& choice, const BoundaryShape& shape = kShape) {
    const auto data = random_boundary(shape, at::kFloat, at::kCPU, /*seed=*/1);
    return benchmark_compressor(dist::compressor_choice(choice), data, /*repeats=*/3, *context_);
  }
  TestContext context_;
};

TEST_F(CompressorBenchmark, EveryCompressorThatWasFoundHasPlausibleFigures) {
  const auto choices = dist::found_compressors();
  ASSERT_GE(choices.size(), 5);
  for (const auto& choice : choices) {
    const auto compressor = dist::make_compressor(choice, *context_);
    const auto data = random_boundary(kShape, at::kFloat, at::kCPU, /*seed=*/1);

    const auto found = benchmark_compressor(choice, data, /*repeats=*/3, *context_);

    EXPECT_EQ(found.bytes, compressor->wire_bytes({{2, 32, 256}, at::kFloat})) << choice.label;
    EXPECT_DOUBLE_EQ(found.bits_per_element,
                     8.0 * static_cast<double>(found.bytes) / (2 * 32 * 256));
    EXPECT_LT(found.relative_error, 0.5) << choice.label;
    EXPECT_LT(found.revisit_relative_error, 0.5) << choice.label;
    EXPECT_GT(found.encode.median_s, 0);
    EXPECT_GT(found.decode.median_s, 0);
    EXPECT_LE(found.encode.fastest_s, found.encode.median_s);
    EXPECT_LE(found.encode.median_s, found.encode.slowest_s);
  }
}

TEST_F(CompressorBenchmark, WithoutCompressionNothingIsLost) {
  const auto exact = figures("none"), rounded = figures("none:dtype=bf16");

  EXPECT_EQ(exact.relative_error, 0);
  EXPECT_EQ(exact.largest_error, 0);
  EXPECT_DOUBLE_EQ(exact.bits_per_element, 32);
  EXPECT_DOUBLE_EQ(rounded.bits_per_element, 16);
  EXPECT_GT(rounded.relative_error, 1e-4);
  EXPECT_LT(rounded.relative_error, 1e-2);
}

TEST_F(CompressorBenchmark, FewerBitsLoseMore) {
  const auto four = figures("fixpoint:bits=4"), six = figures("fixpoint:bits=6"),
             eight = figures("fixpoint:bits=8");

  EXPECT_GT(four.relative_error, 2 * six.relative_error);
  EXPECT_GT(six.relative_error, 2 * eight.relative_error);
  EXPECT_LT(four.bytes, six.bytes);
}

TEST_F(CompressorBenchmark, ASecondVisitHelpsWhereSamplesAreRemembered) {
  const auto delta = figures("delta:bits=4"), fixpoint = figures("fixpoint:bits=4");

  EXPECT_LT(delta.revisit_relative_error, 0.5 * delta.relative_error);
  EXPECT_NEAR(fixpoint.revisit_relative_error, fixpoint.relative_error,
              0.2 * fixpoint.relative_error);
}

TEST_F(CompressorBenchmark, OptionsAreReadFromTheCommandLine) {
  const auto choices = dist::compressor_choices("fixpoint:bits=4,none:dtype=bf16");

  ASSERT_EQ(choices.size(), 2);
  EXPECT_EQ(choices[0].use, "fixpoint");
  EXPECT_EQ(std::get<int64_t>(choices[0].options.at("bits")), 4);
  EXPECT_EQ(choices[1].label, "none:dtype=bf16");
  EXPECT_THROW(dist::compressor_choices("fixpiont"), PluginError);
  EXPECT_THROW(dist::compressor_choices("fixpoint:bitz=4"), ConfigError);
  EXPECT_THROW(dist::compressor_choices("fixpoint:bits"), ConfigError);
  EXPECT_THROW(dist::compressor_choices("none,,none"), ConfigError);
}

TEST_F(CompressorBenchmark, ATensorThatDoesNotFitIsAnErrorThatNamesThePlugin) {
  try {
    figures("tah", {1, 4, 100});  // no whole number of tiles
    FAIL() << "100 channels cannot be cut into tiles of 64";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("tah"), std::string::npos) << error.what();
  }
}

TEST(BoundaryData, RandomDataHasTheOutliersItNames) {
  const auto data = random_boundary({1, 64, 320}, at::kFloat, at::kCPU, /*seed=*/3);

  EXPECT_NE(data.description.find("outlier channels 17, 145, ... times 20"), std::string::npos)
      << data.description;
  const at::Tensor rms_C = data.first.square().mean(at::IntArrayRef{0, 1}).sqrt();
  for (const int64_t c : {17, 145, 273}) EXPECT_GT(rms_C[c].item<double>(), 10);
  EXPECT_LT(rms_C[18].item<double>(), 2);
  EXPECT_FALSE(at::equal(data.first, data.second));
  EXPECT_TRUE(
      at::equal(data.first, random_boundary({1, 64, 320}, at::kFloat, at::kCPU, /*seed=*/3).first));
}

TEST(BoundaryData, CapturedDataIsWhatTheModelComputes) {
  TestContext context;
  TemporaryFolder folder;
  const auto model = tiny::write_model(folder / "model");
  const auto text = tiny::write_text(folder / "text.txt", 300);

  const auto first = captured_boundary(model, text, 1, 2, 16, at::kFloat, *context);
  const auto second = captured_boundary(model, text, 2, 2, 16, at::kFloat, *context);

  EXPECT_EQ(first.first.sizes(), (std::vector<int64_t>{2, 16, tiny::kHidden}));
  const auto opened = open_model(model, {}, *context);
  const auto ids = text::Tokenizer::load(model).encode(text::read_text(text));
  const at::Tensor tokens = text::id_tensor(ids).slice(0, 0, 32).to(at::kLong).view({2, 16});
  EXPECT_TRUE(at::allclose(first.first, opened.decoder->block(0, opened.decoder->embed(tokens)),
                           1e-5, 1e-5));
  EXPECT_TRUE(at::allclose(second.first, opened.decoder->block(1, first.first), 1e-5, 1e-5));
  EXPECT_THROW(captured_boundary(model, text, 3, 2, 16, at::kFloat, *context), ConfigError);
  EXPECT_THROW(captured_boundary(model, text, 1, 2, 4000, at::kFloat, *context), DataError);
}

}  // namespace
}  // namespace qtk::stage
