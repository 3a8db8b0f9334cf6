// A model exported to GGUF and imported again is the same model, for every family.
#include "stage/deployed_tensors.hpp"
#include "stage/export_model.hpp"
#include "stage/import_gguf.hpp"
#include "stage_fixtures.hpp"
#include "text/tokenizer.hpp"
#include "variants.hpp"

namespace qtk::stage {
namespace {

class GgufRoundTripTest : public testing::TestWithParam<std::string> {};

TEST_P(GgufRoundTripTest, WeightsLogitsAndTokensAreTheSame) {
  const TemporaryFolder scratch;
  const fs::path source = copy_golden(GetParam(), scratch / "source"),
                 file = scratch / "model.gguf", folder = scratch / "imported";
  const auto before = model::Decoder::load(source);
  export_model(*before, {.format = "gguf", .type = "F32", .source = source, .target = file});

  const auto imported = import_gguf(file, folder, at::kFloat);

  const auto after = model::Decoder::load(folder);
  const DeployedTensors expected(*before), found(*after);
  ASSERT_EQ(found.tensors().size(), expected.tensors().size());
  EXPECT_EQ(imported.num_tensors, static_cast<int64_t>(expected.tensors().size()));
  for (const auto& info : expected.tensors()) {
    ASSERT_TRUE(found.has(info.name)) << info.name;
    EXPECT_TRUE(bits_equal(found.tensor(info.name), expected.tensor(info.name).to(at::kFloat)))
        << info.name;
  }
  const auto ids = sample_ids(before->config().vocab_size);
  const auto logits = before->logits(ids);
  EXPECT_LT((after->logits(ids) - logits).abs().max().item<double>(),
            1e-5 * std::max(1.0, logits.abs().max().item<double>()));
  const std::string text = "the sea and the old ship.\n\nit was a quiet evening";
  EXPECT_EQ(text::Tokenizer::load(folder).encode(text), text::Tokenizer::load(source).encode(text));
}

INSTANTIATE_TEST_SUITE_P(Golden, GgufRoundTripTest,
                         testing::Values("gpt2", "llama", "llama_bf16", "llama_linear_rope", "phi3",
                                         "qwen3"),
                         [](const auto& info) { return info.param; });

TEST(GgufImport, FindsTheRescalingOfLlama3InItsDivisors) {
  for (const double factor : {8.0, 32.0}) {
    const TemporaryFolder scratch;
    const fs::path source = tiny::write_model(scratch / "source", [&](auto& config, auto&) {
      config["rope_theta"] = 500000.0;
      config["rope_scaling"] = {{"rope_type", "llama3"},
                                {"factor", factor},
                                {"low_freq_factor", 1.0},
                                {"high_freq_factor", 4.0},
                                {"original_max_position_embeddings", 8192}};
    });
    const auto before = model::Decoder::load(source);
    export_model(
        *before,
        {.format = "gguf", .type = "F32", .source = source, .target = scratch / "model.gguf"});

    import_gguf(scratch / "model.gguf", scratch / "imported", at::kFloat);

    const auto after = model::Decoder::load(scratch / "imported");
    ASSERT_TRUE(after->config().llama3_rope);
    EXPECT_EQ(after->config().llama3_rope->factor, factor);
    const auto ids = sample_ids(tiny::kVocabulary);
    EXPECT_TRUE(at::equal(after->logits(ids), before->logits(ids)));
  }
}

TEST(GgufImport, WritesTheTypeAskedFor) {
  const TemporaryFolder scratch;
  const fs::path source = tiny::write_model(scratch / "source"), file = scratch / "model.gguf";
  export_model(*model::Decoder::load(source),
               {.format = "gguf", .type = "F32", .source = source, .target = file});
  const auto dense = tiny::random_tensors();
  for (const auto dtype : {at::kFloat, at::kHalf, at::kBFloat16}) {
    const auto imported = import_gguf(file, scratch / "imported", dtype);

    const auto read = format::TensorFolder::open(scratch / "imported");
    for (const auto& [name, tensor] : dense)
      EXPECT_TRUE(bits_equal(read.tensor(name), tensor.to(dtype))) << name;
    EXPECT_EQ(imported.num_tensors, 21);
    EXPECT_EQ(imported.tensor_bytes, imported.num_weights * (dtype == at::kFloat ? 4 : 2));
    EXPECT_TRUE(fs::exists(scratch / "imported/tokenizer.json"));
  }
}

TEST(GgufImport, DecodesBlocks) {
  const TemporaryFolder scratch;
  const fs::path source = tiny::write_model(scratch / "source"), file = scratch / "model.gguf";
  export_model(*model::Decoder::load(source),
               {.format = "gguf", .type = "Q8_0", .source = source, .target = file});

  import_gguf(file, scratch / "imported", at::kFloat);

  const auto read = format::TensorFolder::open(scratch / "imported");
  for (const auto& [name, tensor] : tiny::random_tensors())
    EXPECT_LT((read.tensor(name) - tensor).norm().item<double>(),
              0.01 * tensor.norm().item<double>())
        << name;
}

}  // namespace
}  // namespace qtk::stage
