// No compression: the tensor as it is, or in a narrower floating-point type.
#include <qtk/plugin.hpp>

#include <ATen/ATen.h>
#include <boundary_codec/device_codec.hpp>
#include <boundary_codec/message.hpp>

namespace qtk {
namespace {

struct NoneOptions {
  std::string dtype = "same";

  static void describe(OptionSet<NoneOptions>& o) {
    o.field("dtype", &NoneOptions::dtype)
        .one_of({"same", "f32", "bf16", "f16"})
        .doc("Type on the wire; same: the tensor's own, so nothing is lost.");
  }
};

class None final : public Compressor {
 public:
  explicit None(NoneOptions options) : options_(std::move(options)) {}

  int64_t wire_bytes(const TensorSpec& spec) const override {
    return boundary::raw_bytes(on_wire(spec));
  }

  void encode(const at::Tensor& x, at::Tensor& wire, const MessageInfo& info) override {
    boundary::require_spec(x, info.spec);
    const TensorSpec sent = info.is_warmup ? info.spec : on_wire(info.spec);
    boundary::require_wire(wire, boundary::raw_bytes(sent));
    if (sent.dtype != x.scalar_type() && boundary::uses_kernels(x, "none"))
      return boundary::write_cast(x, sent.dtype, wire);
    boundary::write_raw(boundary::saturated(x.detach(), sent.dtype), wire);
  }

  at::Tensor decode(const at::Tensor& wire, const MessageInfo& info) override {
    const TensorSpec sent = info.is_warmup ? info.spec : on_wire(info.spec);
    boundary::require_wire(wire, boundary::raw_bytes(sent));
    if (sent.dtype != info.spec.dtype && boundary::uses_kernels(wire, "none"))
      return boundary::read_cast(wire, sent.dtype, info.spec);
    return boundary::saturated(boundary::read_raw(wire, sent), info.spec.dtype);
  }

 private:
  TensorSpec on_wire(TensorSpec spec) const {
    if (options_.dtype == "f32") spec.dtype = at::kFloat;
    if (options_.dtype == "bf16") spec.dtype = at::kBFloat16;
    if (options_.dtype == "f16") spec.dtype = at::kHalf;
    return spec;
  }

  const NoneOptions options_;
};

}  // namespace
}  // namespace qtk

using qtk::None;
using qtk::NoneOptions;
QTK_PLUGIN(Compressor, None, NoneOptions, .name = "none", .version = "0.1.0",
           .summary = "The tensor as it is, or in a narrower floating-point type",
           .paper = "baseline")
