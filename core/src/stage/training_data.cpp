#include "stage/training_data.hpp"

#include "base/atomic_file.hpp"
#include "base/mapped_file.hpp"
#include "format/strict_json.hpp"
#include "text/corpus.hpp"
#include "text/windows.hpp"

#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <nlohmann/json.hpp>

#include <cstring>

namespace qtk::stage {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> documents_of(const config::TrainData& data) {
  const auto format =
      data.format == "text" ? text::CorpusFormat::kPlain : text::corpus_format(data.format);
  std::vector<std::string> documents;
  for (const auto& file : data.files)
    for (auto& document :
         text::read_documents({.path = file, .format = format, .field = data.field}))
      documents.push_back(std::move(document));
  return documents;
}

std::vector<at::Tensor> tokenized(const std::vector<std::string>& documents,
                                  const text::Tokenizer& tokenizer) {
  std::vector<at::Tensor> tokens(documents.size());
  at::parallel_for(0, std::ssize(documents), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      auto ids = tokenizer.encode(documents[static_cast<size_t>(i)]);
      if (const auto eos = tokenizer.eos()) ids.push_back(*eos);
      tokens[static_cast<size_t>(i)] = text::id_tensor(ids);
    }
  });
  return tokens;
}

/// data.json beside a shard may name the tokenizer that made it.
void check_tokenizer(const fs::path& shard, const text::Tokenizer& tokenizer) {
  const fs::path description = shard.parent_path() / "data.json";
  if (!fs::exists(description)) return;
  const auto content = format::parse_strict_json(read_text_file(description), description.string());
  const auto made_with = content.is_object() ? content.value("tokenizer", std::string()) : "";
  if (!made_with.empty() && made_with != tokenizer.fingerprint())
    throw DataError(description.string() + ": the tokens were made with tokenizer " + made_with +
                        ", but the model has " + tokenizer.fingerprint(),
                    "make the shards again with this model's tokenizer");
}

at::Tensor read_shard(const fs::path& path) {
  const auto file = MappedFile::open(path);
  const auto bytes = file->bytes();
  if (bytes.size() % 2 != 0)
    throw DataError(path.string() + " has " + std::to_string(bytes.size()) +
                        " bytes, expected little-endian uint16 tokens",
                    "fetch or make the shard again");
  auto tokens = at::empty({static_cast<int64_t>(bytes.size() / 2)}, at::kInt);
  auto* out = tokens.mutable_data_ptr<int32_t>();
  for (size_t i = 0; i < bytes.size() / 2; ++i) {
    uint16_t token = 0;
    std::memcpy(&token, bytes.data() + 2 * i, sizeof token);
    out[i] = token;
  }
  return tokens;
}

at::Tensor checked_stream(const std::vector<at::Tensor>& parts, int64_t vocabulary) {
  auto stream = parts.empty() ? at::empty({0}, at::kInt) : at::cat(parts);
  if (stream.numel() > 0)
    if (const auto largest = stream.max().item<int64_t>(); largest >= vocabulary)
      throw DataError("the training data holds token " + std::to_string(largest) +
                          ", but the model has " + std::to_string(vocabulary) + " tokens",
                      "use the tokenizer that belongs to the model");
  return stream;
}

}  // namespace

train::TokenBatches read_training(const config::TrainData& data, const text::Tokenizer& tokenizer,
                                  int64_t vocabulary, uint64_t seed) {
  std::vector<at::Tensor> parts;
  if (data.shards.empty()) {
    parts = tokenized(documents_of(data), tokenizer);
  } else {
    for (const auto& shard : data.shards) {
      check_tokenizer(shard, tokenizer);
      parts.push_back(read_shard(shard));
    }
  }
  const auto stream = checked_stream(parts, vocabulary);
  if (data.packing == "packed") return train::TokenBatches::packed(stream, data.ctx, seed);
  return train::TokenBatches::padded(parts, data.ctx, tokenizer.eos().value_or(0), seed);
}

}  // namespace qtk::stage
