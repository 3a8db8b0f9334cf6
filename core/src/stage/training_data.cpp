#include "stage/training_data.hpp"

#include "stage/token_shard.hpp"
#include "text/corpus.hpp"

#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>

namespace qtk::stage {
namespace {

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
    for (const auto& shard : data.shards) parts.push_back(read_token_shard(shard, tokenizer));
  }
  const auto stream = checked_stream(parts, vocabulary);
  if (data.packing == "packed") return train::TokenBatches::packed(stream, data.ctx, seed);
  return train::TokenBatches::padded(parts, data.ctx, tokenizer.eos().value_or(0), seed);
}

}  // namespace qtk::stage
