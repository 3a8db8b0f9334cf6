// Fixed-point codes with a shared scale: the baseline of compressed pipeline links.
#include <qtk/plugin.hpp>

#include <ATen/ATen.h>
#include <boundary_codec/device_codec.hpp>
#include <boundary_codec/fixpoint_options.hpp>

namespace qtk {
namespace {

struct FixpointLinkOptions : boundary::FixpointOptions {
  static void describe(OptionSet<FixpointLinkOptions>& o) { boundary::describe_fixpoint(o); }
};

class FixpointLink final : public Compressor {
 public:
  explicit FixpointLink(const FixpointLinkOptions& options) : form_(options.form()) {}

  int64_t wire_bytes(const TensorSpec& spec) const override {
    return boundary::fixpoint_bytes(boundary::extent_of(spec), form_);
  }

  void encode(const at::Tensor& x, at::Tensor& wire, const MessageInfo& info) override {
    boundary::require_spec(x, info.spec);
    boundary::require_wire(wire, message_bytes(info));
    if (info.is_warmup) return boundary::write_raw(x, wire);
    boundary::uses_kernels(x, "fixpoint");
    boundary::write_fixpoint(x, form_, wire);
  }

  at::Tensor decode(const at::Tensor& wire, const MessageInfo& info) override {
    boundary::require_wire(wire, message_bytes(info));
    if (info.is_warmup) return boundary::read_raw(wire, info.spec);
    boundary::uses_kernels(wire, "fixpoint");
    return boundary::read_fixpoint(wire, info.spec, form_);
  }

 private:
  int64_t message_bytes(const MessageInfo& info) const {
    return info.is_warmup ? boundary::raw_bytes(info.spec) : wire_bytes(info.spec);
  }

  const boundary::Fixpoint form_;
};

}  // namespace
}  // namespace qtk

using qtk::FixpointLink;
using qtk::FixpointLinkOptions;
QTK_PLUGIN(Compressor, FixpointLink, FixpointLinkOptions, .name = "fixpoint", .version = "0.1.0",
           .summary = "Symmetric fixed-point codes with a scale per channel",
           .paper = "AQ-SGD, arXiv 2206.01299; baseline of TAH-Quant, arXiv 2506.01352")
