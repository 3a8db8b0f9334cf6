// Messages and collectives among some of the processes: c10d's Gloo on the CPU, its NCCL on GPUs.
// Every wait has an end, and a failure names the operation, the peer and the sequence number.
//
// All members construct their groups in the same order, and call collectives in the same order.
// After a failure a group cannot be used any more.
#pragma once

#include "dist/mesh.hpp"
#include "dist/run_store.hpp"
#include "dist/timeouts.hpp"

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace qtk::dist {

/// A message under way. The tensor must live until wait() returned (on a GPU: until the stream
/// passed it).
class Pending {
 public:
  class State;
  Pending();
  explicit Pending(std::shared_ptr<State> state);
  /// CPU: blocks until it is done. GPU: the current stream waits. Once.
  /// @throws Error(kPeerLost)
  void wait();
  bool is_done() const;

 private:
  std::shared_ptr<State> state_;
};

struct GroupSetup {
  std::string name;          // "forward", for messages
  std::vector<int> members;  // global ranks; the own one among them
  Mesh mesh;
  c10::Device device = c10::kCPU;
  Timeouts timeouts;
  std::string interface;  // network interface; empty: the one that leads to rank 0
  /// Told what the calling thread waits for, for the reports of other ranks.
  std::function<void(const std::string& operation)> on_wait;
};

class ProcessGroup {
 public:
  /// Waits for all members. @throws Error(kPeerLost), Error(kEnvironment)
  ProcessGroup(RunStore& store, GroupSetup setup);
  ~ProcessGroup();
  ProcessGroup(const ProcessGroup&) = delete;
  ProcessGroup& operator=(const ProcessGroup&) = delete;

  int size() const { return static_cast<int>(setup_.members.size()); }
  c10::Device device() const { return setup_.device; }
  /// Position of this process among the members.
  int position() const { return position_; }

  /// Collectives so far; equal on all members between two of them.
  int64_t sequence() const { return sequence_; }

  /// Messages between two members with equal tags arrive in order. @param member  position
  /// @param what  "forward micro-batch 3", for reports
  Pending send(const at::Tensor& message, int member, int tag, const std::string& what);
  Pending receive(at::Tensor& message, int member, int tag, const std::string& what);

  /// In place; tensors of equal shape and dtype on all members, on the group's device.
  void all_reduce_sum(at::Tensor& tensor);
  void all_reduce_max(at::Tensor& tensor);
  /// @param all  [size * n], @param own  [n]
  void all_gather(at::Tensor& all, const at::Tensor& own);
  /// Sum over members of their part `position` of `all`. @param own [n], @param all [size * n]
  void reduce_scatter_sum(at::Tensor& own, const at::Tensor& all);
  /// Part i of `sent` goes to member i. Both [size * n].
  void all_to_all(at::Tensor& received, const at::Tensor& sent);
  void broadcast(at::Tensor& tensor, int member);
  void barrier();

 private:
  struct Backend;
  template <class Start>
  void collective(const char* name, const Start& start);
  std::string member_name(int member) const;

  const GroupSetup setup_;
  int position_ = 0;
  int64_t sequence_ = 0;  // of collectives
  std::unique_ptr<Backend> backend_;
};

}  // namespace qtk::dist
