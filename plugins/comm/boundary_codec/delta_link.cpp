#include "boundary_codec/delta_link.hpp"

#include "boundary_codec/device_codec.hpp"

#include <qtk/runtime/check.hpp>

#include <ATen/ATen.h>

namespace qtk::boundary {

int64_t DeltaLink::wire_bytes(const TensorSpec& spec) const {
  return fixpoint_bytes(extent_of(spec), form_);
}

void DeltaLink::check(const at::Tensor& wire, const MessageInfo& info) const {
  const Extent extent = extent_of(info.spec);
  require_wire(wire, info.is_warmup ? raw_bytes(info.spec) : fixpoint_bytes(extent, form_));
  uses_kernels(wire, name_);
  QTK_CHECK(static_cast<int64_t>(info.samples.size()) == extent.batch, name_, " needs a sample ",
            "number for each of the ", extent.batch, " rows of a micro-batch, got ",
            info.samples.size());
}

at::Tensor DeltaLink::remembered(const MessageInfo& info, at::Device device) const {
  const Extent extent = extent_of(info.spec);
  at::Tensor m_BSC = at::empty(info.spec.shape, at::dtype(at::kFloat).device(device));
  for (int64_t row = 0; row < extent.batch; ++row) {
    const auto kept = cache_.find(info.samples[static_cast<size_t>(row)]);
    at::Tensor m_SC = m_BSC[row];
    if (kept.defined())
      m_SC.copy_(recall(kept.to(device), extent.sequence, extent.channels));
    else
      m_SC.zero_();
  }
  return m_BSC;
}

void DeltaLink::remember(const at::Tensor& m_BSC, const MessageInfo& info) {
  for (int64_t row = 0; row < m_BSC.size(0); ++row) {
    const at::Tensor m_SC = m_BSC[row];
    // Else no later visit of the sample would be finite. The host is not made to wait for a device.
    const auto [least, most] = at::aminmax(m_SC);  // NaN if one is
    const at::Tensor is_finite = least.isfinite().logical_and(most.isfinite()),
                     zero = at::zeros({}, m_SC.options());
    const bool is_known = m_SC.is_cpu() && is_finite.item<bool>();
    const at::Tensor kept_SC = is_known ? m_SC : at::where(is_finite, m_SC, zero);
    cache_.put(info.samples[static_cast<size_t>(row)], keep(kept_SC));
  }
}

at::Tensor DeltaLink::reconstructed(const at::Tensor& m_BSC, const at::Tensor& wire) const {
  // m is at most 65504, far below half a unit in the last place of the largest f32, so that the sum
  // overflows only if the change did.
  return m_BSC + read_fixpoint(wire, {m_BSC.sizes().vec(), at::kFloat}, form_);
}

void DeltaLink::encode(const at::Tensor& x, at::Tensor& wire, const MessageInfo& info) {
  require_spec(x, info.spec);
  check(wire, info);
  const at::Tensor x_BSC = to_f32(x);
  if (info.is_warmup) {
    write_raw(x, wire);
    return remember(x_BSC, info);
  }
  const at::Tensor m_BSC = remembered(info, wire.device());
  write_fixpoint(x_BSC - m_BSC, form_, wire);
  remember(reconstructed(m_BSC, wire), info);
}

at::Tensor DeltaLink::decode(const at::Tensor& wire, const MessageInfo& info) {
  check(wire, info);
  if (info.is_warmup) {
    const at::Tensor y = read_raw(wire, info.spec);
    remember(to_f32(y), info);
    return y;
  }
  const at::Tensor y = reconstructed(remembered(info, wire.device()), wire);
  remember(y, info);
  return saturated(y, info.spec.dtype);
}

}  // namespace qtk::boundary
