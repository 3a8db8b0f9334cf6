// One linear layer of a model, as methods see it.
#pragma once

#include <cstdint>
#include <string>

namespace qtk {

struct LinearSite {
  std::string name;   // Hugging Face name without ".weight": "model.layers.3.self_attn.q_proj"
  int64_t index = 0;  // position among the model's sites, from 0
  int block = -1;     // transformer layer, or -1 outside of one (lm_head)
  std::string role;   // last part of the name: "q_proj"
  int64_t out_features = 0;  // rows of the weight
  int64_t in_features = 0;   // columns of the weight

  int64_t numel() const { return out_features * in_features; }
};

}  // namespace qtk
