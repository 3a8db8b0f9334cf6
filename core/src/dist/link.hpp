// The two ends of one direction of a link between pipeline stages. What one sends, compressed, the
// other takes in the same order of micro-batches.
#pragma once

#include "dist/link_shaper.hpp"
#include "dist/process_group.hpp"
#include "dist/shaped_sender.hpp"
#include "dist/timeline.hpp"

#include <qtk/api/compressor.hpp>

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

namespace qtk::dist {

struct LinkSetup {
  std::string direction;  // "forward", "backward"
  ProcessGroup& group;
  int peer = 0;  // position in the group
  Compressor& compressor;
  TensorSpec spec;
  bool has_hash = false;
  Timeline& timeline;
  Lane lane;
};

/// Bytes of the tensor itself.
int64_t raw_bytes(const TensorSpec& spec);
/// Bytes of a message, its hash included.
int64_t message_bytes(const LinkSetup& setup, bool is_warmup);

/// Which forms of message, uncompressed and compressed, have had their first step.
class SeenForms {
 public:
  bool has(bool is_warmup) const { return seen_[is_warmup ? 0 : 1]; }
  void note(bool is_warmup) { seen_[is_warmup ? 0 : 1] = true; }

 private:
  bool seen_[2] = {false, false};
};

class SendingEnd {
 public:
  SendingEnd(LinkSetup setup, const LinkShape& shape);
  ~SendingEnd();

  /// Compresses x and hands it over. On a GPU the first step of each form is not shaped: what loads
  /// its kernels then would wait for messages under way, and these for a thread that waits with it.
  /// @param info  spec as announced; step, micro-batch, samples
  void send(const at::Tensor& x, const MessageInfo& info);
  /// Returns when all messages are on their way and their memory is free. @throws Error(kPeerLost)
  void finish();
  /// Bytes since the beginning.
  int64_t sent_bytes() const { return sent_bytes_; }

 private:
  bool is_shaped(const at::Tensor& message) const {
    return shaped_ && (!message.is_cuda() || seen_.has(is_warmup_));
  }

  LinkSetup setup_;
  std::unique_ptr<ShapedSender> shaped_;  // null without a shape
  std::vector<at::Tensor> buffers_;       // one per message of a step
  std::vector<Pending> under_way_;
  size_t used_ = 0;
  int64_t sent_bytes_ = 0;
  bool is_warmup_ = false;  // the step's form
  SeenForms seen_;
};

class ReceivingEnd {
 public:
  /// @param shape  of what this rank sends
  ReceivingEnd(LinkSetup setup, const LinkShape& shape)
      : setup_(std::move(setup)), is_shaped_(shape.is_shaped()) {}

  /// Posts the receives of a step: Gloo's sends only start once they are matched. On a GPU the
  /// first step of each form posts them as they are needed: a receive under way occupies the
  /// device, and whatever loads its kernels then for the first time could wait for it for ever.
  void post(int64_t micro_batches, bool is_warmup);
  /// Waits for the next message. @returns the decoded tensor, a leaf that requires a gradient if
  /// `is_leaf`
  at::Tensor take(const MessageInfo& info, bool is_leaf);

 private:
  void post_one(int64_t micro_batch);
  void wait_for(int64_t micro_batch);

  LinkSetup setup_;
  bool is_shaped_;
  std::vector<at::Tensor> buffers_;
  std::vector<Pending> expected_;
  bool is_needed_first_ = false;  // receives of this step are posted by take()
  SeenForms seen_;
};

}  // namespace qtk::dist
