// Weights beyond the range of f16: refused wherever they would become infinite.
#include "stage/stored_dtype.hpp"

#include "stage/export_model.hpp"
#include "stage/import_gguf.hpp"
#include "stage_fixtures.hpp"
#include "variants.hpp"

namespace qtk::stage {
namespace {

class OverflowTest : public testing::Test {
 protected:
  OverflowTest() {
    tiny::write_model(
        source_, [](auto&, auto& tensors) { tensors["model.embed_tokens.weight"][2][3] = 70000; });
  }
  OpenModel open(const fs::path& folder) { return open_model(folder, {}, *context_); }

  TestContext context_;
  TemporaryFolder scratch_;
  const fs::path source_ = scratch_ / "source", packed_ = scratch_ / "packed";
};

TEST_F(OverflowTest, IsRefusedByRestDtypeOfPackedModels) {
  expect_contains(sentence_of<ConfigError>([&] {
                    quantize_to(source_, packed_, affine_section("{bits: 4, group_size: 32}"),
                                *context_, at::kHalf);
                  }),
                  {"model.embed_tokens.weight", "f16"});
}

TEST_F(OverflowTest, IsRefusedByTheRestOfCompressedTensors) {
  quantize_to(source_, packed_, affine_section("{bits: 4, group_size: 32}"), *context_);
  const auto opened = open(packed_);

  expect_contains(sentence_of<ConfigError>([&] {
                    export_model(*opened.decoder, {.format = "compressed-tensors",
                                                   .dtype = "f16",
                                                   .source = source_,
                                                   .target = scratch_ / "ct"});
                  }),
                  {"model.embed_tokens.weight", "f16"});
}

TEST_F(OverflowTest, IsRefusedByImports) {
  export_model(*open(source_).decoder,
               {.format = "gguf", .type = "F32", .source = source_, .target = scratch_ / "m.gguf"});

  expect_contains(sentence_of<Error>(
                      [&] { import_gguf(scratch_ / "m.gguf", scratch_ / "imported", at::kHalf); }),
                  {"embed_tokens", "f16"});
}

TEST_F(OverflowTest, InfinityAndTheLargestValuePass) {
  const auto values = at::tensor({65504.0F, -65504.0F, INFINITY, -INFINITY, 0.0F});

  EXPECT_TRUE(at::equal(stored_as(at::kHalf, values, "w").to(at::kFloat), values));
  EXPECT_TRUE(stored_as(at::kBFloat16, at::tensor({70000.0F}), "w").isfinite().item<bool>());
}

}  // namespace
}  // namespace qtk::stage
