#include "dist/replica_exchange.hpp"

#include <qtk/runtime/check.hpp>

#include <ATen/ATen.h>

#include <algorithm>

namespace qtk::dist {
namespace {

constexpr int64_t kBucketElements = 6'553'600;  // 25 MiB of fp32
constexpr int64_t kRows = 512;                  // of a chunk as a tensor
constexpr int64_t kColumnMultiple = 256;        // any tile size divides it

int64_t elements_of(const std::vector<at::Tensor>& tensors) {
  int64_t elements = 0;
  for (const auto& tensor : tensors) elements += tensor.numel();
  return elements;
}

/// Copies in or out, tensor after tensor.
void gather(const std::vector<at::Tensor>& tensors, at::Tensor& flat) {
  int64_t at = 0;
  for (const auto& tensor : tensors) {
    flat.narrow(0, at, tensor.numel()).copy_(tensor.view(-1));
    at += tensor.numel();
  }
}

void scatter(const at::Tensor& flat, const std::vector<at::Tensor>& tensors) {
  int64_t at = 0;
  for (const auto& tensor : tensors) {
    tensor.view(-1).copy_(flat.narrow(0, at, tensor.numel()));
    at += tensor.numel();
  }
}

/// What the compressor lost. A step whose gradients are not finite is left out, and must not spoil
/// those that follow.
at::Tensor finite_loss(const at::Tensor& wanted, const at::Tensor& decoded) {
  return (wanted - decoded).nan_to_num_(0, 0, 0);
}

MessageInfo info_of(const TensorSpec& spec, int64_t step) {
  static const std::vector<int64_t> sample = {0};
  return {.spec = spec, .step = step, .micro_batch = 0, .samples = sample, .is_warmup = false};
}

}  // namespace

void sum_over_replicas(ProcessGroup& group, const std::vector<at::Tensor>& gradients) {
  if (group.size() == 1) return;
  for (size_t first = 0; first < gradients.size();) {
    std::vector<at::Tensor> bucket = {gradients[first]};
    int64_t elements = gradients[first].numel();
    for (++first;
         first < gradients.size() && elements + gradients[first].numel() <= kBucketElements;
         ++first) {
      bucket.push_back(gradients[first]);
      elements += gradients[first].numel();
    }
    at::Tensor flat = at::empty({elements}, bucket.front().options());
    gather(bucket, flat);
    group.all_reduce_sum(flat);
    scatter(flat, bucket);
  }
}

void CompressedSum::prepare(int64_t elements, const at::Tensor& like) {
  const int64_t columns_raw = (elements + group_.size() * kRows - 1) / (group_.size() * kRows);
  const int64_t columns = (columns_raw + kColumnMultiple - 1) / kColumnMultiple * kColumnMultiple;
  const int64_t chunk = kRows * columns;
  spec_ = {.shape = {1, kRows, columns}, .dtype = at::kFloat};
  const bool fits = worker_error_.defined() && worker_error_.size(0) == group_.size() &&
                    worker_error_.size(1) == chunk;
  if (fits) return;
  worker_error_ = at::zeros({group_.size(), chunk}, like.options());
  server_error_ = at::zeros({chunk}, like.options());
}

at::Tensor CompressedSum::encoded(Compressor& compressor, const at::Tensor& chunk,
                                  int64_t step) const {
  at::Tensor wire = at::empty({compressor.wire_bytes(spec_)}, chunk.options().dtype(at::kByte));
  compressor.encode(chunk.view(spec_.shape), wire, info_of(spec_, step));
  return wire;
}

at::Tensor CompressedSum::decoded(Compressor& compressor, const at::Tensor& wire,
                                  int64_t step) const {
  return compressor.decode(wire, info_of(spec_, step)).view(-1);
}

void CompressedSum::sum(const std::vector<at::Tensor>& gradients, int64_t step) {
  if (gradients.empty()) return;  // a stage without layers, on all replicas alike
  const int64_t elements = elements_of(gradients), members = group_.size();
  prepare(elements, gradients.front());
  const int64_t chunk = server_error_.numel();
  at::Tensor flat = at::zeros({members * chunk}, server_error_.options());
  gather(gradients, flat);

  const at::Tensor wanted = flat.view({members, chunk}).add_(worker_error_);
  std::vector<at::Tensor> wires;
  for (int64_t c = 0; c < members; ++c) {
    wires.push_back(encoded(to_server_, wanted[c], step));
    worker_error_[c].copy_(finite_loss(wanted[c], decoded(to_server_, wires.back(), step)));
  }
  const at::Tensor sent = at::cat(wires);
  at::Tensor received = at::empty_like(sent);
  group_.all_to_all(received, sent);

  const int64_t bytes = wires.front().numel();
  at::Tensor sum = server_error_.clone();
  for (int64_t w = 0; w < members; ++w)
    sum.add_(decoded(to_server_, received.narrow(0, w * bytes, bytes), step));
  const at::Tensor answer = encoded(to_workers_, sum, step);
  server_error_.copy_(finite_loss(sum, decoded(to_workers_, answer, step)));
  at::Tensor answers = at::empty({members * answer.numel()}, answer.options());
  group_.all_gather(answers, answer);
  for (int64_t c = 0; c < members; ++c)
    flat.narrow(0, c * chunk, chunk)
        .copy_(decoded(to_workers_, answers.narrow(0, c * answer.numel(), answer.numel()), step));
  scatter(flat, gradients);
}

void CompressedSum::save(StateWriter& out) const {
  if (!worker_error_.defined()) return;
  out.tensor("worker_error", worker_error_);
  out.tensor("server_error", server_error_);
}

void CompressedSum::load(StateReader& in) {
  if (!in.has("worker_error")) return;
  worker_error_ = in.tensor("worker_error").to(group_.device()).clone();
  server_error_ = in.tensor("server_error").to(group_.device()).clone();
}

}  // namespace qtk::dist
