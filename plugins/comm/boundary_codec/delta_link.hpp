// AQ-SGD (arXiv 2206.01299): what crosses the link is the change of a sample's activation since the
// sample was last seen.
//
//   delta = x - m;   (q, s) = fixpoint(delta);   xhat = m + dequant(q, s);   m' = kept(xhat)
//
// m is the remembered reconstruction, zero for unknown samples. The difference is taken to the
// reconstruction, so the error of one visit is corrected by the next. The memory lies where the
// tensors do.
#pragma once

#include <qtk/api/compressor.hpp>

#include <ATen/core/Tensor.h>
#include <boundary_codec/fixpoint.hpp>
#include <boundary_codec/sample_cache.hpp>

namespace qtk::boundary {

class DeltaLink : public Compressor {
 public:
  int64_t wire_bytes(const TensorSpec& spec) const override;
  void encode(const at::Tensor& x, at::Tensor& wire, const MessageInfo& info) override;
  at::Tensor decode(const at::Tensor& wire, const MessageInfo& info) override;
  void save(StateWriter& out) const override { cache_.save(out); }
  void load(StateReader& in) override { cache_.load(in); }

 protected:
  DeltaLink(const char* name, const Fixpoint& form, int64_t max_samples)
      : name_(name), form_(form), cache_(max_samples) {}

 private:
  /// The form in which m_SC [f32] is remembered; a tensor of its own. Magnitudes are cut at 65504.
  virtual at::Tensor keep(const at::Tensor& m_SC) const = 0;
  /// [S, C] of what keep() made, of any floating type. @throws Error if it was made for another S
  /// or C
  virtual at::Tensor recall(const at::Tensor& kept, int64_t sequence, int64_t channels) const = 0;

  void check(const at::Tensor& wire, const MessageInfo& info) const;
  at::Tensor remembered(const MessageInfo& info, at::Device device) const;  // [B, S, C] f32
  /// m + dequant(q, s), the same at both ends; f32.
  at::Tensor reconstructed(const at::Tensor& m_BSC, const at::Tensor& wire) const;
  /// A row that is not finite is remembered as zero, as if it had not been seen.
  void remember(const at::Tensor& m_BSC, const MessageInfo& info);

  const char* name_;
  const Fixpoint form_;
  SampleCache cache_;
};

}  // namespace qtk::boundary
