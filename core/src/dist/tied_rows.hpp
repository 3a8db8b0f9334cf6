// The tied embedding of a pipeline. The last stage owns it (as its head) and trains it; the first
// stage holds a copy of which only the rows of a step's tokens matter: they are fetched before the
// step and their gradients are given back after it. So what crosses the network follows the tokens
// of the batch, not the vocabulary, and the moments exist once.
#pragma once

#include "dist/process_group.hpp"

#include <ATen/core/Tensor.h>

namespace qtk::dist {

class TiedRows {
 public:
  /// @param group  the first and the last stage of a pipeline, in this order
  explicit TiedRows(ProcessGroup& group) : group_(group) {}

  /// First stage: overwrites the rows `ids` of `table` with the owner's. Last stage: sends them.
  /// @param table  [V, D]; @param ids  [n] int64, distinct and the same on both, on table's device
  void fetch(at::Tensor& table, const at::Tensor& ids);
  /// First stage: sends the rows of its gradient. Last stage: adds them to its own.
  /// @param gradient  [V, D] of the table
  void give_back(at::Tensor& gradient, const at::Tensor& ids);
  int64_t sent_bytes() const { return sent_bytes_; }

 private:
  bool is_first() const { return group_.position() == 0; }

  ProcessGroup& group_;
  int64_t sent_bytes_ = 0;
};

}  // namespace qtk::dist
