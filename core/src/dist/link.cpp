#include "dist/link.hpp"

#include "base/fault_point.hpp"
#include "dist/wire_format.hpp"

#include <qtk/runtime/check.hpp>

#include <ATen/ATen.h>
#include <c10/core/impl/VirtualGuardImpl.h>

namespace qtk::dist {
namespace {

std::string what_of(const LinkSetup& setup, int64_t micro_batch) {
  return setup.direction + " micro-batch " + std::to_string(micro_batch);
}

/// The part that the compressor sees.
at::Tensor content(const LinkSetup& setup, const at::Tensor& message) {
  return setup.has_hash ? message.narrow(0, 0, message.numel() - kHashBytes) : message;
}

at::Tensor& buffer_at(std::vector<at::Tensor>& buffers, size_t index, int64_t bytes,
                      c10::Device device) {
  if (buffers.size() <= index) buffers.resize(index + 1);
  at::Tensor& buffer = buffers[index];
  if (!buffer.defined() || buffer.numel() != bytes)
    buffer = at::empty({bytes}, at::TensorOptions(at::kByte).device(device));
  return buffer;
}

}  // namespace

int64_t raw_bytes(const TensorSpec& spec) {
  return c10::multiply_integers(spec.shape) * static_cast<int64_t>(c10::elementSize(spec.dtype));
}

int64_t message_bytes(const LinkSetup& setup, bool is_warmup) {
  return (is_warmup ? raw_bytes(setup.spec) : setup.compressor.wire_bytes(setup.spec)) +
         (setup.has_hash ? kHashBytes : 0);
}

SendingEnd::SendingEnd(LinkSetup setup, const LinkShape& shape) : setup_(std::move(setup)) {
  if (shape.is_shaped())
    shaped_ = std::make_unique<ShapedSender>(setup_.group, setup_.peer, shape, setup_.timeline,
                                             setup_.lane);
}
SendingEnd::~SendingEnd() = default;

void SendingEnd::send(const at::Tensor& x, const MessageInfo& info) {
  const bool is_left_out = fault_point("send");
  const int64_t bytes = message_bytes(setup_, info.is_warmup);
  at::Tensor& message = buffer_at(buffers_, used_++, bytes, x.device());
  {
    const auto span = setup_.timeline.span(setup_.lane, "encode", info.micro_batch);
    at::Tensor wire = content(setup_, message);
    setup_.compressor.encode(x, wire, info);
    if (setup_.has_hash) seal(message);
  }
  sent_bytes_ += bytes;
  const int tag = static_cast<int>(info.micro_batch);
  const std::string what = what_of(setup_, info.micro_batch);
  if (is_left_out) return;
  const auto span = setup_.timeline.span(setup_.lane, "hand over", info.micro_batch);
  is_warmup_ = info.is_warmup;
  if (is_shaped(message))
    shaped_->send(message, tag, what);
  else
    under_way_.push_back(setup_.group.send(message, setup_.peer, tag, what));
}

void SendingEnd::finish() {
  if (shaped_) shaped_->finish();
  for (auto& message : under_way_) message.wait();
  under_way_.clear();
  used_ = 0;
  seen_.note(is_warmup_);
}

void ReceivingEnd::post(int64_t micro_batches, bool is_warmup) {
  const int64_t bytes = message_bytes(setup_, is_warmup);
  const auto device = setup_.group.device();
  expected_.assign(static_cast<size_t>(micro_batches), {});
  for (size_t i = 0; i < expected_.size(); ++i) buffer_at(buffers_, i, bytes, device);
  is_needed_first_ = device.is_cuda() && !seen_.has(is_warmup);
  seen_.note(is_warmup);
  for (int64_t i = 0; i < micro_batches && !is_needed_first_; ++i) post_one(i);
}

void ReceivingEnd::post_one(int64_t micro_batch) {
  const auto index = static_cast<size_t>(micro_batch);
  expected_[index] = setup_.group.receive(
      buffers_[index], setup_.peer, static_cast<int>(micro_batch), what_of(setup_, micro_batch));
}

/// On a GPU only its stream waits, and this thread goes on to launch what comes after the message,
/// until the device's queue is full. A shaped message, which another thread launches, would then
/// find no room, and the answer to it never come.
void ReceivingEnd::wait_for(int64_t micro_batch) {
  const auto span = setup_.timeline.span(setup_.lane, "wait", micro_batch);
  expected_[static_cast<size_t>(micro_batch)].wait();
  const auto device = setup_.group.device();
  if (is_shaped_ && device.is_cuda())
    c10::impl::VirtualGuardImpl(device.type()).getStream(device).synchronize();
}

at::Tensor ReceivingEnd::take(const MessageInfo& info, bool is_leaf) {
  fault_point("recv");
  const auto index = static_cast<size_t>(info.micro_batch);
  QTK_CHECK(index < expected_.size(), "no receive is posted for micro-batch ", info.micro_batch);
  if (is_needed_first_) post_one(info.micro_batch);
  wait_for(info.micro_batch);
  const auto span = setup_.timeline.span(setup_.lane, "decode", info.micro_batch);
  const at::Tensor& message = buffers_[index];
  if (setup_.has_hash) require_seal(message, what_of(setup_, info.micro_batch));
  at::Tensor x = setup_.compressor.decode(content(setup_, message), info);
  return is_leaf ? x.requires_grad_() : x;
}

}  // namespace qtk::dist
