#include "boundary_codec/sample_cache.hpp"

#include <qtk/runtime/check.hpp>

#include <ATen/ATen.h>

#include <string>
#include <vector>

namespace qtk::boundary {

at::Tensor SampleCache::find(int64_t sample) const {
  const auto found = by_sample_.find(sample);
  return found == by_sample_.end() ? at::Tensor() : found->second->second;
}

void SampleCache::forget(int64_t sample) {
  const auto found = by_sample_.find(sample);
  if (found == by_sample_.end()) return;
  order_.erase(found->second);
  by_sample_.erase(found);
}

void SampleCache::put(int64_t sample, at::Tensor kept) {
  forget(sample);
  if (size() == capacity_) {
    by_sample_.erase(order_.front().first);
    order_.pop_front();
  }
  order_.emplace_back(sample, std::move(kept));
  by_sample_[sample] = std::prev(order_.end());
}

void SampleCache::save(StateWriter& out) const {
  std::vector<int64_t> samples;
  std::vector<at::Tensor> kept;
  for (const auto& [sample, tensor] : order_) {
    samples.push_back(sample);
    kept.push_back(tensor.cpu());  // after loading, some lie on the device and some not yet
  }
  out.tensor("samples", at::tensor(samples, at::kLong));
  if (!kept.empty()) out.tensor("kept", at::stack(kept));
}

void SampleCache::load(StateReader& in) {
  const at::Tensor samples = in.tensor("samples");
  if (samples.numel() > capacity_)
    throw DataError("the checkpoint holds the activations of " + std::to_string(samples.numel()) +
                        " samples, the cache at most " + std::to_string(capacity_),
                    "set max_samples as in the run that wrote it");
  order_.clear();
  by_sample_.clear();
  if (samples.numel() == 0) return;
  const at::Tensor kept = in.tensor("kept");
  QTK_CHECK(kept.size(0) == samples.numel(), "cached activations of ", kept.size(0),
            " samples for ", samples.numel(), " sample numbers");
  for (int64_t i = 0; i < samples.numel(); ++i) put(samples[i].item<int64_t>(), kept[i].clone());
}

}  // namespace qtk::boundary
