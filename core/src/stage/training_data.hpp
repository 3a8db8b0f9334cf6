// The training text as windows of tokens.
#pragma once

#include "config/train_config.hpp"
#include "text/tokenizer.hpp"
#include "train/token_batches.hpp"

#include <cstdint>

namespace qtk::stage {

/// Documents are tokenized and end with EOS where the tokenizer has one; shards are taken as they
/// are.
/// @param vocabulary  of the model
/// @throws DataError if there is no whole window, or a token is outside of the vocabulary, or a
/// shard is damaged or made with another tokenizer
train::TokenBatches read_training(const config::TrainData& data, const text::Tokenizer& tokenizer,
                                  int64_t vocabulary, uint64_t seed);

}  // namespace qtk::stage
