// Compressors: what crosses a link between pipeline stages. An object serves one direction of one
// link; sender and receiver hold one each, made from the same options. Calls come in micro-batch
// order.
#pragma once

#include <qtk/runtime/run_context.hpp>
#include <qtk/runtime/state.hpp>

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

namespace qtk {

struct TensorSpec {
  std::vector<int64_t> shape;  // [micro-batch, sequence, channels]
  at::ScalarType dtype = at::kFloat;
};

struct MessageInfo {
  TensorSpec spec;  // of the tensor before encoding
  int64_t step = 0;
  int64_t micro_batch = 0;
  std::span<const int64_t>
      samples;             // data-set index of each row, for methods with a cache per sample
  bool is_warmup = false;  // send uncompressed; both sides agree
};

class QTK_API Compressor {
 public:
  virtual ~Compressor();
  /// Size of every message for this spec, fixed, so that a receive can be posted before the message
  /// exists. Messages of a warm-up (MessageInfo::is_warmup) are the tensor's own bytes instead.
  virtual int64_t wire_bytes(const TensorSpec& spec) const = 0;
  /// Writes wire_bytes() bytes into `wire` [uint8, on x's device], on the current stream, without
  /// host synchronisation.
  virtual void encode(const at::Tensor& x, at::Tensor& wire, const MessageInfo& info) = 0;
  /// The decoded tensor, info.spec; finite for every finite x that was encoded.
  virtual at::Tensor decode(const at::Tensor& wire, const MessageInfo& info) = 0;

  virtual void save(StateWriter& out) const;
  virtual void load(StateReader& in);
};

}  // namespace qtk
