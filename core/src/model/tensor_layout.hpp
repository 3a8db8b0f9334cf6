// The tensors a decoder consists of: names in a Hugging Face folder and in a GGUF file, and shapes.
#pragma once

#include "model/decoder_config.hpp"
#include "model/family.hpp"

#include <qtk/api/linear_site.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace qtk::model {

/// Where a tensor is used.
enum class SlotPlace { kEmbedding, kBlock, kHead };

/// One stored tensor.
struct TensorSlot {
  std::string name;            // "model.layers.3.self_attn.q_proj.weight"
  std::string gguf_name;       // "blk.3.attn_q.weight"
  std::vector<int64_t> shape;  // as Hugging Face stores it
  bool is_conv1d = false;      // [in, out] in Hugging Face, [out, in] in GGUF
  int64_t permuted_heads =
      0;  // > 0: GGUF stores the rows of each of so many heads with rotary pairs adjacent
  std::string site;  // the linear site whose weight this is, or empty
  SlotPlace place = SlotPlace::kBlock;
  int64_t layer = -1;  // of kBlock
};

/// Rows of a projection's weight.
int64_t out_features(const DecoderConfig& config, Role role);
int64_t in_features(const DecoderConfig& config, Role role);
bool has_bias(const DecoderConfig& config, Role role);

/// Everything, in order of use; a tied head once, as the embedding.
std::vector<TensorSlot> tensor_layout(const Family& family, const DecoderConfig& config);

/// The linear layers inside the blocks in order of use, then lm_head if it is not tied.
std::vector<LinearSite> linear_sites(const Family& family, const DecoderConfig& config);

}  // namespace qtk::model
