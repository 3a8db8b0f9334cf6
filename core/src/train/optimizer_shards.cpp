#include "train/optimizer_shards.hpp"

#include "train/sliced_reader.hpp"

#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>

namespace qtk::train {

OptimizerShards::OptimizerShards(std::vector<OptimizedTensor> tensors, dist::ProcessGroup& replicas)
    : tensors_(std::move(tensors)), replicas_(replicas) {
  int64_t elements = 0;
  for (const auto& tensor : tensors_) {
    if (tensor.storage)
      throw ConfigError("parallel.shard_optimizer cannot cut " + tensor.name +
                            ", whose quantizer stores it in a form of its own",
                        "set parallel.shard_optimizer: false");
    elements += tensor.leaf.numel();
  }
  part_ = (elements + replicas_.size() - 1) / replicas_.size();
  slices_ = slices_of(replicas_.position());
  for (const Slice& slice : slices_) {
    const auto& whole = tensors_[slice.tensor];
    own_.push_back({.name = slice_name({whole.name, slice.begin, slice.end}),
                    .leaf = values_of(slice),
                    .storage = nullptr,
                    .settings = whole.settings});
  }
}

std::vector<OptimizerShards::Slice> OptimizerShards::slices_of(int member) const {
  std::vector<Slice> slices;
  const int64_t from = member * part_, to = from + part_;
  int64_t offset = 0;
  for (size_t i = 0; i < tensors_.size(); ++i) {
    const int64_t size = tensors_[i].leaf.numel();
    const int64_t begin = std::clamp(from - offset, int64_t{0}, size),
                  end = std::clamp(to - offset, int64_t{0}, size);
    if (begin < end) slices.push_back({i, begin, end});
    offset += size;
  }
  return slices;
}

at::Tensor OptimizerShards::values_of(const Slice& slice) const {
  return tensors_[slice.tensor].leaf.detach().view(-1).narrow(0, slice.begin,
                                                              slice.end - slice.begin);
}

void OptimizerShards::bind_gradients() const {
  for (size_t i = 0; i < slices_.size(); ++i) {
    const auto& gradient = tensors_[slices_[i].tensor].leaf.grad();
    own_[i].leaf.mutable_grad() =
        gradient.defined()
            ? gradient.view(-1).narrow(0, slices_[i].begin, slices_[i].end - slices_[i].begin)
            : at::Tensor();
  }
}

void OptimizerShards::spread_values() {
  if (part_ == 0) return;  // a stage without layers
  const at::NoGradGuard no_grad;
  const auto& like = tensors_.front().leaf;
  at::Tensor own = at::zeros({part_}, like.options().requires_grad(false));
  int64_t at = 0;
  for (const Slice& slice : slices_) {
    own.narrow(0, at, slice.end - slice.begin).copy_(values_of(slice));
    at += slice.end - slice.begin;
  }
  at::Tensor all = at::empty({part_ * replicas_.size()}, own.options());
  replicas_.all_gather(all, own);
  for (int member = 0; member < replicas_.size(); ++member) {
    at = member * part_;
    for (const Slice& slice : slices_of(member)) {
      const int64_t size = slice.end - slice.begin;
      if (member != replicas_.position()) values_of(slice).copy_(all.narrow(0, at, size));
      at += size;
    }
  }
}

}  // namespace qtk::train
