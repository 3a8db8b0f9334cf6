// Sends messages no faster than a slow link would, from a thread of its own, so that computing goes
// on meanwhile.
#pragma once

#include "dist/link_shaper.hpp"
#include "dist/process_group.hpp"
#include "dist/timeline.hpp"

#include <ATen/core/Tensor.h>

#include <condition_variable>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

namespace c10 {
class Event;
}

namespace qtk::dist {

class ShapedSender {
 public:
  ShapedSender(ProcessGroup& group, int peer, const LinkShape& shape, Timeline& timeline,
               Lane lane);
  /// What was not sent yet is dropped.
  ~ShapedSender();

  /// The message leaves in its turn. Its memory must stay until finish().
  void send(const at::Tensor& message, int tag, const std::string& what);
  /// Waits until all are delivered. @throws what the sending thread met
  void finish();

 private:
  struct Message {
    at::Tensor bytes;
    int tag;
    std::string what;
    std::chrono::steady_clock::time_point handed_over;
    std::shared_ptr<c10::Event> is_written;  // on a GPU
  };
  void run();
  void deliver(const Message& message);
  void transmit(const Message& message);

  ProcessGroup& group_;
  const int peer_;
  LinkShaper shaper_;
  Timeline& timeline_;
  const Lane lane_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Message> waiting_;
  bool is_busy_ = false, is_stopping_ = false;
  std::exception_ptr fault_;
  std::thread thread_;
};

}  // namespace qtk::dist
