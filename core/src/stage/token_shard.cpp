#include "stage/token_shard.hpp"

#include "base/atomic_file.hpp"
#include "base/interrupt.hpp"
#include "base/mapped_file.hpp"
#include "format/strict_json.hpp"
#include "text/windows.hpp"

#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <nlohmann/json.hpp>

#include <cstring>
#include <limits>

namespace qtk::stage {
namespace {

namespace fs = std::filesystem;

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

void append(const at::Tensor& ids, AtomicFile& file) {
  std::vector<uint16_t> tokens(static_cast<size_t>(ids.numel()));
  const auto* source = ids.const_data_ptr<int32_t>();
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (source[i] > std::numeric_limits<uint16_t>::max())
      throw DataError("the tokenizer makes token " + std::to_string(source[i]) +
                          ", but a token shard holds ids below 65536",
                      "train from the texts: data.train.files");
    tokens[i] = static_cast<uint16_t>(source[i]);
  }
  file.write(std::as_bytes(std::span(tokens)));
}

}  // namespace

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

WrittenShard write_token_shard(const std::vector<text::CorpusFile>& files,
                               const text::Tokenizer& tokenizer, const fs::path& folder) {
  WrittenShard written{.file = folder / "tokens.bin"};
  AtomicFile file(written.file);
  for (const auto& source : files) {
    stop_if_interrupted();
    for (const auto& ids : tokenized(text::read_documents(source), tokenizer)) {
      append(ids, file);
      ++written.documents;
      written.tokens += ids.numel();
    }
  }
  file.commit();
  write_file_atomically(folder / "data.json", nlohmann::json{{"tokenizer", tokenizer.fingerprint()},
                                                             {"documents", written.documents},
                                                             {"tokens", written.tokens}}
                                                      .dump(2) +
                                                  "\n");
  return written;
}

at::Tensor read_token_shard(const fs::path& path, const text::Tokenizer& tokenizer) {
  check_tokenizer(path, tokenizer);
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

}  // namespace qtk::stage
