// Cutting a stream of token ids into what a model sees at once. Shapes: B windows of a batch, S
// tokens of a window.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

namespace qtk::text {

/// [N] int32 on the CPU, a copy.
at::Tensor id_tensor(std::span<const int32_t> ids);

struct TokenRange {
  int64_t begin = 0, end = 0;
  bool operator==(const TokenRange&) const = default;
};

/// Windows of equal length without overlap; the tail that does not fill a window is dropped.
class TokenWindows {
 public:
  /// @param stream  [N] of any integer type on the CPU, aliased; @param length  S, at least 1
  TokenWindows(at::Tensor stream, int64_t length);

  int64_t count() const { return count_; }
  int64_t length() const { return length_; }
  /// Tokens of the stream that window `index` holds.
  TokenRange range(int64_t index) const;
  /// Windows first ... first + size - 1, fewer at the end: [B, S] int64
  at::Tensor batch(int64_t first, int64_t size) const;
  /// The named windows in the order given, for shuffled training: [B, S] int64
  at::Tensor gather(std::span<const int64_t> windows) const;

 private:
  at::Tensor windows_;  // [count, S], a view
  int64_t length_;
  int64_t count_;
};

/// One window of a document. Index -1 stands for the prefix token.
struct RollingWindow {
  TokenRange inputs;
  int64_t
      first_scored;  // targets first_scored ... inputs.end are scored, each by the input before it

  int64_t num_scored() const { return inputs.end + 1 - first_scored; }
  bool operator==(const RollingWindow&) const = default;
};

/// Ignored by cross-entropy, as in PyTorch.
inline constexpr int64_t kUnscoredTarget = -100;

/// Windows in which every token of a document is predicted exactly once, as in
/// `loglikelihood_rolling` of EleutherAI's lm-evaluation-harness: at most S inputs, `context` of
/// them before the first scored token; the last window is filled up with earlier tokens as context.
class RollingWindows {
 public:
  /// @param document  [N] of any integer type on the CPU, aliased
  /// @param prefix    id in front of the document (BOS, or EOS where there is none), so that its
  /// first token is scored
  /// @param max_length  S; @param context  in [1, S]
  RollingWindows(at::Tensor document, int64_t prefix, int64_t max_length, int64_t context = 1);

  const std::vector<RollingWindow>& windows() const { return windows_; }

  struct Batch {
    at::Tensor inputs;   // [B, S] int64, filled up on the right with the prefix token
    at::Tensor targets;  // [B, S] int64, kUnscoredTarget where nothing is scored
  };
  /// Windows first ... first + size - 1, fewer at the end; S is the length of the longest of them.
  Batch batch(int64_t first, int64_t size) const;

 private:
  at::Tensor padded_;  // [N + 1] int64, the prefix token in front
  int64_t prefix_;
  std::vector<RollingWindow> windows_;
};

}  // namespace qtk::text
