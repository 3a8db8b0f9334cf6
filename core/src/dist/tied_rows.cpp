#include "dist/tied_rows.hpp"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

namespace qtk::dist {
namespace {

constexpr int kFetchTag = 1 << 24, kGiveBackTag = kFetchTag + 1;

}  // namespace

void TiedRows::fetch(at::Tensor& table, const at::Tensor& ids) {
  const at::NoGradGuard no_grad;
  if (is_first()) {
    at::Tensor rows = at::empty({ids.numel(), table.size(1)}, table.options());
    group_.receive(rows, 1, kFetchTag, "rows of the tied embedding").wait();
    table.index_copy_(0, ids, rows);
  } else {
    const at::Tensor rows = table.detach().index_select(0, ids).contiguous();
    group_.send(rows, 0, kFetchTag, "rows of the tied embedding").wait();
    sent_bytes_ += static_cast<int64_t>(rows.nbytes());
  }
}

void TiedRows::give_back(at::Tensor& gradient, const at::Tensor& ids) {
  const at::NoGradGuard no_grad;
  if (is_first()) {
    const at::Tensor rows = gradient.index_select(0, ids).contiguous();
    group_.send(rows, 1, kGiveBackTag, "gradients of the tied embedding").wait();
    sent_bytes_ += static_cast<int64_t>(rows.nbytes());
  } else {
    at::Tensor rows = at::empty({ids.numel(), gradient.size(1)}, gradient.options());
    group_.receive(rows, 0, kGiveBackTag, "gradients of the tied embedding").wait();
    gradient.index_add_(0, ids, rows);
  }
}

}  // namespace qtk::dist
