// Token shards: what is read is what was written, and only for the tokenizer that made it.
#include "stage/token_shard.hpp"

#include "base/atomic_file.hpp"
#include "stage_fixtures.hpp"

namespace qtk::stage {
namespace {

class TokenShardTest : public testing::Test {
 protected:
  TokenShardTest() {
    tiny::write_model(model_);
    write_file_atomically(texts_, "{\"text\": \"one two three\"}\n{\"text\": \"four\"}\n");
  }
  WrittenShard write() {
    return write_token_shard({{.path = texts_, .format = text::CorpusFormat::kJsonl}},
                             text::Tokenizer::load(model_), scratch_ / "shards");
  }

  TemporaryFolder scratch_;
  const fs::path model_ = scratch_ / "model", texts_ = scratch_ / "texts.jsonl";
};

TEST_F(TokenShardTest, HoldsTheDocumentsOneAfterAnother) {
  const auto tokenizer = text::Tokenizer::load(model_);

  const auto written = write();

  const auto expected = at::cat(tokenized({"one two three", "four"}, tokenizer));
  EXPECT_TRUE(at::equal(read_token_shard(written.file, tokenizer), expected));
  EXPECT_EQ(written.documents, 2);
  EXPECT_EQ(written.tokens, expected.numel());
  EXPECT_EQ(fs::file_size(written.file), 2 * static_cast<uintmax_t>(expected.numel()));
}

TEST_F(TokenShardTest, AnotherTokenizerIsRefused) {
  const auto written = write();
  tiny::write_model(scratch_ / "other", {}, {.adds_bos = true});

  expect_contains(sentence_of<DataError>([&] {
                    read_token_shard(written.file, text::Tokenizer::load(scratch_ / "other"));
                  }),
                  {"data.json", "were made with tokenizer"});
}

TEST_F(TokenShardTest, HalfATokenIsRefused) {
  const auto written = write();
  fs::resize_file(written.file, fs::file_size(written.file) - 1);

  expect_contains(sentence_of<DataError>(
                      [&] { read_token_shard(written.file, text::Tokenizer::load(model_)); }),
                  {"tokens.bin", "little-endian uint16"});
}

}  // namespace
}  // namespace qtk::stage
