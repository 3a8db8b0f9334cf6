// Gradients that replicas of a stage add up: exactly, in shares, or compressed with error feedback.
#pragma once

#include "dist/process_group.hpp"

#include <qtk/api/compressor.hpp>
#include <qtk/runtime/state.hpp>

#include <ATen/core/Tensor.h>

#include <vector>

namespace qtk::dist {

/// In place. Gradients of one dtype and device; several travel together.
void sum_over_replicas(ProcessGroup& group, const std::vector<at::Tensor>& gradients);

/// The sum of compressed gradients (1-bit Adam's exchange, arXiv 2102.02888, as AQ-SGD uses it).
/// The flat gradient is cut into D chunks; of worker w and server c:
///
///   z = g_wc + e_wc;  Q(z) goes to server c;  e_wc = z - decoded(Q(z))
///   a = sum_w decoded + E_c;  Q(a) goes to everybody;  E_c = a - decoded(Q(a))
///
/// What a step loses to the compressor is sent with the next one.
class CompressedSum {
 public:
  /// @param to_server, to_workers  compressors of both halves, made from equal options on all
  /// replicas. A chunk goes through them as a tensor [1, 512, n], so a scale per channel serves 512
  /// values.
  CompressedSum(ProcessGroup& group, Compressor& to_server, Compressor& to_workers)
      : group_(group), to_server_(to_server), to_workers_(to_workers) {}

  /// In place. @param gradients  fp32, the same shapes at every call
  void sum(const std::vector<at::Tensor>& gradients, int64_t step);
  /// What all replicas hold at the end of the step but have not sent.
  void save(StateWriter& out) const;
  void load(StateReader& in);

 private:
  void prepare(int64_t elements, const at::Tensor& like);
  at::Tensor encoded(Compressor& compressor, const at::Tensor& chunk, int64_t step) const;
  at::Tensor decoded(Compressor& compressor, const at::Tensor& wire, int64_t step) const;

  ProcessGroup& group_;
  Compressor &to_server_, &to_workers_;
  TensorSpec spec_;          // of a chunk
  at::Tensor worker_error_;  // [D, chunk] fp32
  at::Tensor server_error_;  // [chunk] fp32
};

}  // namespace qtk::dist
