#include "text/windows.hpp"

#include <qtk/runtime/check.hpp>

#include <ATen/ATen.h>

#include <algorithm>

namespace qtk::text {
namespace {

void check_stream(const at::Tensor& ids) {
  QTK_CHECK(ids.dim() == 1 && at::isIntegralType(ids.scalar_type(), /*includeBool=*/false) &&
                ids.device().is_cpu(),
            "token ids: expected [N] integers on the CPU, got ", ids.sizes(), " ",
            ids.scalar_type());
}

}  // namespace

at::Tensor id_tensor(std::span<const int32_t> ids) {
  auto tensor = at::empty({static_cast<int64_t>(ids.size())}, at::kInt);
  std::copy(ids.begin(), ids.end(), tensor.data_ptr<int32_t>());
  return tensor;
}

TokenWindows::TokenWindows(at::Tensor stream, int64_t length) : length_(length) {
  check_stream(stream);
  QTK_CHECK(length >= 1, "a window of ", length, " tokens");
  count_ = stream.numel() / length;
  windows_ = stream.narrow(0, 0, count_ * length).contiguous().view({count_, length});
}

TokenRange TokenWindows::range(int64_t index) const {
  QTK_CHECK(index >= 0 && index < count_, "window ", index, " of ", count_);
  return {index * length_, (index + 1) * length_};
}

at::Tensor TokenWindows::batch(int64_t first, int64_t size) const {
  QTK_CHECK(first >= 0 && first <= count_ && size >= 0, "windows from ", first, " of ", count_);
  return windows_.narrow(0, first, std::min(size, count_ - first)).to(at::kLong);
}

at::Tensor TokenWindows::gather(std::span<const int64_t> windows) const {
  auto result = at::empty({static_cast<int64_t>(windows.size()), length_}, at::kLong);
  for (size_t i = 0; i < windows.size(); ++i) {
    QTK_CHECK(windows[i] >= 0 && windows[i] < count_, "window ", windows[i], " of ", count_);
    result.select(0, static_cast<int64_t>(i)).copy_(windows_.select(0, windows[i]));
  }
  return result;
}

RollingWindows::RollingWindows(at::Tensor document, int64_t prefix, int64_t max_length,
                               int64_t context)
    : prefix_(prefix) {
  check_stream(document);
  QTK_CHECK(context >= 1 && context <= max_length, "context ", context, " in windows of ",
            max_length);
  padded_ = at::cat({at::full({1}, prefix, at::kLong), document.to(at::kLong)});
  const int64_t count = document.numel();
  const int64_t stride = max_length - context + 1;
  for (int64_t scored = 0; scored < count;) {
    // The first window starts with the prefix token and scores as many tokens as it has inputs.
    const int64_t end = std::min(count, scored + (scored == 0 ? max_length : stride));
    windows_.push_back({{std::max<int64_t>(-1, end - 1 - max_length), end - 1}, scored});
    scored = end;
  }
}

RollingWindows::Batch RollingWindows::batch(int64_t first, int64_t size) const {
  const auto count = static_cast<int64_t>(windows_.size());
  QTK_CHECK(first >= 0 && first <= count && size >= 0, "windows from ", first, " of ", count);
  const int64_t last = std::min(count, first + size);
  int64_t longest = 0;
  for (int64_t i = first; i < last; ++i)
    longest = std::max(longest, windows_[i].inputs.end - windows_[i].inputs.begin);
  Batch batch{at::full({last - first, longest}, prefix_, at::kLong),
              at::full({last - first, longest}, kUnscoredTarget, at::kLong)};
  for (int64_t i = first; i < last; ++i) {
    const auto& [inputs, first_scored] = windows_[i];
    const int64_t length = inputs.end - inputs.begin;
    const int64_t scored = windows_[i].num_scored();
    // padded_ holds token t at t + 1.
    batch.inputs.select(0, i - first)
        .narrow(0, 0, length)
        .copy_(padded_.narrow(0, inputs.begin + 1, length));
    batch.targets.select(0, i - first)
        .narrow(0, length - scored, scored)
        .copy_(padded_.narrow(0, first_scored + 1, scored));
  }
  return batch;
}

}  // namespace qtk::text
