#include "dist/process_group.hpp"

#include "base/fault_point.hpp"
#include "dist/backend.hpp"
#include "dist/c10d_message.hpp"

#include <qtk/runtime/check.hpp>

#include <ATen/ATen.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>

#include <algorithm>

namespace qtk::dist {
namespace {

[[noreturn]] void fail(const std::string& operation, const std::exception& error) {
  throw Error(operation + " failed: " + first_line(error),
              "see which rank stopped; start the same command again to continue from the last "
              "checkpoint",
              ExitCode::kPeerLost, "dist");
}

}  // namespace

class Pending::State {
 public:
  State(c10::intrusive_ptr<c10d::Work> work, std::string operation,
        const std::function<void(const std::string&)>& on_wait)
      : work_(std::move(work)), operation_(std::move(operation)), on_wait_(on_wait) {}

  void wait() {
    if (on_wait_ && !work_->isCompleted()) on_wait_(operation_);
    try {
      work_->wait();
    } catch (const std::exception& error) {
      fail(operation_, error);
    }
  }
  bool is_done() const { return work_->isCompleted(); }

 private:
  c10::intrusive_ptr<c10d::Work> work_;
  std::string operation_;
  const std::function<void(const std::string&)>& on_wait_;
};

Pending::Pending() = default;
Pending::Pending(std::shared_ptr<State> state) : state_(std::move(state)) {}
void Pending::wait() {
  if (state_) state_->wait();
  state_.reset();
}
bool Pending::is_done() const { return !state_ || state_->is_done(); }

struct ProcessGroup::Backend {
  c10::intrusive_ptr<c10d::Backend> backend;
};

ProcessGroup::ProcessGroup(RunStore& store, GroupSetup setup) : setup_(std::move(setup)) {
  const auto own = std::ranges::find(setup_.members, setup_.mesh.rank);
  QTK_CHECK(own != setup_.members.end(), "rank ", setup_.mesh.rank, " is no member of group ",
            setup_.name);
  position_ = static_cast<int>(own - setup_.members.begin());
  // The members tell groups of one name (one per replica, one per stage) apart.
  const std::string prefix = "group/" + setup_.name + "/" + std::to_string(setup_.members.front());
  const BackendSetup backend{
      .store = c10::make_intrusive<c10d::PrefixStore>(prefix, store.handle().store),
      .position = position_,
      .size = size(),
      .timeout = milliseconds(setup_.timeouts.operation),
      .interface = setup_.interface,
      .master_address = store.handle().environment.master_address,
      .device = setup_.device};
  try {
    backend_ = std::make_unique<Backend>(
        Backend{setup_.device.is_cuda() ? make_nccl_backend(backend) : make_gloo_backend(backend)});
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    fail("connecting the group `" + setup_.name + "`", error);
  }
}

ProcessGroup::~ProcessGroup() = default;

std::string ProcessGroup::member_name(int member) const {
  return setup_.mesh.name_of(setup_.members.at(static_cast<size_t>(member)));
}

Pending ProcessGroup::send(const at::Tensor& message, int member, int tag,
                           const std::string& what) {
  const std::string operation = "send " + what + " to " + member_name(member);
  std::vector<at::Tensor> tensors = {message};
  try {
    return Pending(std::make_shared<Pending::State>(backend_->backend->send(tensors, member, tag),
                                                    operation, setup_.on_wait));
  } catch (const std::exception& error) {
    fail(operation, error);
  }
}

Pending ProcessGroup::receive(at::Tensor& message, int member, int tag, const std::string& what) {
  const std::string operation = "receive " + what + " from " + member_name(member);
  std::vector<at::Tensor> tensors = {message};
  try {
    return Pending(std::make_shared<Pending::State>(backend_->backend->recv(tensors, member, tag),
                                                    operation, setup_.on_wait));
  } catch (const std::exception& error) {
    fail(operation, error);
  }
}

template <class Start>
void ProcessGroup::collective(const char* name, const Start& start) {
  if (size() == 1) return;
  if (fault_point("all_reduce")) return;
  const std::string operation = setup_.name + "." + name + " #" + std::to_string(++sequence_);
  if (setup_.on_wait) setup_.on_wait(operation);
  try {
    start()->wait();
  } catch (const std::exception& error) {
    fail(operation, error);
  }
}

void ProcessGroup::all_reduce_sum(at::Tensor& tensor) {
  collective("all_reduce", [&] {
    std::vector<at::Tensor> tensors = {tensor};
    return backend_->backend->allreduce(tensors);
  });
}

void ProcessGroup::all_reduce_max(at::Tensor& tensor) {
  collective("all_reduce", [&] {
    std::vector<at::Tensor> tensors = {tensor};
    return backend_->backend->allreduce(tensors, {.reduceOp = c10d::ReduceOp::MAX});
  });
}

void ProcessGroup::all_gather(at::Tensor& all, const at::Tensor& own) {
  if (size() == 1) all.view(-1).copy_(own.view(-1));
  collective("all_gather", [&] {
    at::Tensor input = own;
    return backend_->backend->_allgather_base(all, input);
  });
}

void ProcessGroup::reduce_scatter_sum(at::Tensor& own, const at::Tensor& all) {
  if (size() == 1) own.view(-1).copy_(all.view(-1));
  collective("reduce_scatter", [&] {
    at::Tensor input = all;
    return backend_->backend->_reduce_scatter_base(own, input);
  });
}

void ProcessGroup::all_to_all(at::Tensor& received, const at::Tensor& sent) {
  if (size() == 1) received.copy_(sent);
  collective("all_to_all", [&] {
    at::Tensor input = sent;
    std::vector<int64_t> even;
    return backend_->backend->alltoall_base(received, input, even, even);
  });
}

void ProcessGroup::broadcast(at::Tensor& tensor, int member) {
  collective("broadcast", [&] {
    std::vector<at::Tensor> tensors = {tensor};
    return backend_->backend->broadcast(tensors, {.rootRank = member});
  });
}

void ProcessGroup::barrier() {
  at::Tensor one = at::zeros({1}, at::TensorOptions().device(setup_.device));
  all_reduce_sum(one);
}

}  // namespace qtk::dist
