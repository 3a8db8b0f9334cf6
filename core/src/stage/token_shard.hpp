// Token shards: texts tokenized once, for many training runs. `*.bin` holds little-endian uint16
// without a header; data.json beside it names the tokenizer.
#pragma once

#include "text/corpus.hpp"
#include "text/tokenizer.hpp"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace qtk::stage {

/// The ids of each document, in order; EOS ends a document where the tokenizer has one. int32, on
/// the CPU. Uses all threads.
std::vector<at::Tensor> tokenized(const std::vector<std::string>& documents,
                                  const text::Tokenizer& tokenizer);

struct WrittenShard {
  std::filesystem::path file;
  int64_t documents = 0, tokens = 0;
};

/// Writes tokens.bin and data.json into `folder`.
/// @throws DataError if an id does not fit in 16 bits, or a text is damaged; IoError
WrittenShard write_token_shard(const std::vector<text::CorpusFile>& files,
                               const text::Tokenizer& tokenizer,
                               const std::filesystem::path& folder);

/// [N] int32. @throws DataError if the file is damaged, or data.json beside it names another
/// tokenizer
at::Tensor read_token_shard(const std::filesystem::path& file, const text::Tokenizer& tokenizer);

}  // namespace qtk::stage
