// Training text as windows of tokens in a shuffled order that is a pure function of the position,
// so that a resumed run continues where it stopped.
//
// Shapes: B windows, S = ctx inputs of a window.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace qtk::train {

struct TokenBatch {
  at::Tensor inputs;   // [B, S] int64 on the CPU
  at::Tensor targets;  // [B, S] int64: the token after each input, or text::kUnscoredTarget
};

class TokenBatches {
 public:
  /// One stream cut into windows of `ctx` inputs; the target of a window's last input is the first
  /// token of the next window. A tail that does not fill a window is dropped.
  /// @param stream  [N] int32 on the CPU
  /// @throws DataError if there is no whole window
  static TokenBatches packed(at::Tensor stream, int64_t ctx, uint64_t seed);
  /// Every document begins a window of its own and goes on in further ones; what is left of a
  /// window holds `padding`, whose prediction does not count.
  /// @param documents  [N] int32 each; those of less than two tokens are left out
  static TokenBatches padded(const std::vector<at::Tensor>& documents, int64_t ctx, int32_t padding,
                             uint64_t seed);

  /// Windows of one epoch.
  int64_t windows() const { return static_cast<int64_t>(windows_.size()); }
  int64_t ctx() const { return ctx_; }
  /// Windows `first` ... `first + count - 1` of the endless sequence of epochs, each of which is a
  /// permutation of its own.
  TokenBatch batch(int64_t first, int64_t count) const;
  /// Which windows of the data set they are, 0 ... windows() - 1.
  std::vector<int64_t> samples(int64_t first, int64_t count) const;
  /// Targets that count in them.
  int64_t predictions(int64_t first, int64_t count) const;

 private:
  struct Window {
    int64_t begin;
    int64_t predictions;
  };
  TokenBatches(at::Tensor stream, int64_t ctx, int32_t padding, uint64_t seed,
               std::vector<Window> windows);
  int64_t index_at(int64_t position) const;
  const Window& window_at(int64_t position) const {
    return windows_[static_cast<size_t>(index_at(position))];
  }
  const std::vector<int64_t>& order_of(int64_t epoch) const;

  at::Tensor stream_;
  int64_t ctx_;
  int32_t padding_;
  uint64_t seed_;
  std::vector<Window> windows_;
  // A batch may reach into the next epoch.
  struct Order {
    int64_t epoch = -1;
    std::vector<int64_t> windows;
  };
  mutable Order orders_[2];
};

}  // namespace qtk::train
