#include "model/decoder.hpp"

namespace qtk::model {

Decoder::~Decoder() = default;

at::Tensor Decoder::hidden(const at::Tensor& ids) {
  auto x = embed(ids);
  for (int64_t layer = 0; layer < config().num_layers; ++layer) x = block(layer, x);
  return final_norm(x);
}

at::Tensor Decoder::logits(const at::Tensor& ids) { return head(hidden(ids)); }

}  // namespace qtk::model
