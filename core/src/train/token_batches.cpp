#include "train/token_batches.hpp"

#include "text/windows.hpp"

#include <qtk/runtime/check.hpp>
#include <qtk/runtime/error.hpp>
#include <qtk/runtime/random.hpp>

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>
#include <utility>

namespace qtk::train {

TokenBatches::TokenBatches(at::Tensor stream, int64_t ctx, int32_t padding, uint64_t seed,
                           std::vector<Window> windows)
    : stream_(std::move(stream)),
      ctx_(ctx),
      padding_(padding),
      seed_(seed),
      windows_(std::move(windows)) {
  QTK_CHECK(stream_.dim() == 1 && stream_.scalar_type() == at::kInt && stream_.is_contiguous() &&
                stream_.device().is_cpu(),
            "training tokens must be [N] int32 on the CPU, not ", stream_.toString());
}

TokenBatches TokenBatches::packed(at::Tensor stream, int64_t ctx, uint64_t seed) {
  std::vector<Window> windows;
  for (int64_t begin = 0; begin + ctx < stream.numel(); begin += ctx)
    windows.push_back({begin, ctx});
  if (windows.empty())
    throw DataError("the training text has " + std::to_string(stream.numel()) +
                        " tokens, fewer than one window of " + std::to_string(ctx) +
                        " and its last target",
                    "give more text in data.train, or a smaller data.train.ctx");
  return {std::move(stream), ctx, 0, seed, std::move(windows)};
}

TokenBatches TokenBatches::padded(const std::vector<at::Tensor>& documents, int64_t ctx,
                                  int32_t padding, uint64_t seed) {
  std::vector<Window> windows;
  std::vector<at::Tensor> kept;
  int64_t offset = 0;
  for (const auto& document : documents) {
    const int64_t size = document.numel();
    if (size < 2) continue;
    for (int64_t begin = 0; begin + 1 < size; begin += ctx)
      windows.push_back({offset + begin, std::min(ctx, size - 1 - begin)});
    kept.push_back(document);
    offset += size;
  }
  if (windows.empty())
    throw DataError("no document of the training text has two tokens",
                    "give more text in data.train");
  return {at::cat(kept), ctx, padding, seed, std::move(windows)};
}

const std::vector<int64_t>& TokenBatches::order_of(int64_t epoch) const {
  Order& order = orders_[epoch % 2];
  if (order.epoch == epoch) return order.windows;
  order.epoch = epoch;
  order.windows.resize(windows_.size());
  std::iota(order.windows.begin(), order.windows.end(), 0);
  RandomStream random({.seed = seed_, .purpose = "train.order", .step = epoch});
  for (size_t i = order.windows.size(); i > 1; --i)
    std::swap(order.windows[i - 1], order.windows[random.below(i)]);
  return order.windows;
}

int64_t TokenBatches::index_at(int64_t position) const {
  return order_of(position / windows())[static_cast<size_t>(position % windows())];
}

std::vector<int64_t> TokenBatches::samples(int64_t first, int64_t count) const {
  std::vector<int64_t> indices;
  for (int64_t row = 0; row < count; ++row) indices.push_back(index_at(first + row));
  return indices;
}

TokenBatch TokenBatches::batch(int64_t first, int64_t count) const {
  TokenBatch batch{at::full({count, ctx_}, padding_, at::kLong),
                   at::full({count, ctx_}, text::kUnscoredTarget, at::kLong)};
  const int32_t* tokens = stream_.const_data_ptr<int32_t>();
  auto* inputs = batch.inputs.mutable_data_ptr<int64_t>();
  auto* targets = batch.targets.mutable_data_ptr<int64_t>();
  for (int64_t row = 0; row < count; ++row) {
    const auto& [begin, predictions] = window_at(first + row);
    std::copy_n(tokens + begin, predictions, inputs + row * ctx_);
    std::copy_n(tokens + begin + 1, predictions, targets + row * ctx_);
  }
  return batch;
}

int64_t TokenBatches::predictions(int64_t first, int64_t count) const {
  int64_t total = 0;
  for (int64_t row = 0; row < count; ++row) total += window_at(first + row).predictions;
  return total;
}

}  // namespace qtk::train
