#include "dist/shaped_sender.hpp"

#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

namespace qtk::dist {
namespace {

using Clock = std::chrono::steady_clock;

LinkShaper::Time since_start(Clock::time_point time) {
  return std::chrono::duration_cast<LinkShaper::Time>(time.time_since_epoch());
}

}  // namespace

ShapedSender::ShapedSender(ProcessGroup& group, int peer, const LinkShape& shape,
                           Timeline& timeline, Lane lane)
    : group_(group), peer_(peer), shaper_(shape), timeline_(timeline), lane_(lane) {
  thread_ = std::thread([this] { run(); });
}

ShapedSender::~ShapedSender() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void ShapedSender::send(const at::Tensor& message, int tag, const std::string& what) {
  Message entry{message, tag, what, Clock::now(), nullptr};
  if (message.is_cuda()) {
    entry.is_written = std::make_shared<c10::Event>(message.device().type());
    entry.is_written->record(
        c10::impl::VirtualGuardImpl(message.device().type()).getStream(message.device()));
  }
  const std::lock_guard lock(mutex_);
  waiting_.push_back(std::move(entry));
  changed_.notify_all();
}

void ShapedSender::finish() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return fault_ || (waiting_.empty() && !is_busy_); });
  if (fault_) std::rethrow_exception(fault_);
}

void ShapedSender::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return is_stopping_ || !waiting_.empty(); });
    if (is_stopping_) return;
    const Message message = waiting_.front();
    waiting_.pop_front();
    is_busy_ = true;
    lock.unlock();
    try {
      deliver(message);
    } catch (...) {
      const std::lock_guard again(mutex_);
      fault_ = std::current_exception();
    }
    lock.lock();
    is_busy_ = false;
    changed_.notify_all();
  }
}

void ShapedSender::deliver(const Message& message) {
  if (message.is_written) message.is_written->synchronize();
  const auto handed_over = message.is_written ? Clock::now() : message.handed_over;
  const auto span = timeline_.span(lane_, "transfer", message.tag);
  const auto arrival = shaper_.arrival(since_start(handed_over), message.bytes.numel());
  std::this_thread::sleep_until(
      Clock::time_point(std::chrono::duration_cast<Clock::duration>(arrival)));
  transmit(message);
}

/// On a GPU from a stream of its own: the stream that computes may by now wait for the answer to
/// this very message, and whatever is queued behind that would never leave.
void ShapedSender::transmit(const Message& message) {
  const auto send = [&] { group_.send(message.bytes, peer_, message.tag, message.what).wait(); };
  if (!message.is_written) return send();
  const auto device = message.bytes.device();
  const c10::StreamGuard own(
      c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device));
  send();
  own.current_stream().synchronize();
}

}  // namespace qtk::dist
