// Changes of activations between visits of a sample, in fixed point; the memory of a sample is f16.
#include <qtk/plugin.hpp>

#include <ATen/ATen.h>
#include <boundary_codec/delta_link.hpp>
#include <boundary_codec/fixpoint_options.hpp>

namespace qtk {
namespace {

struct DeltaOptions : boundary::FixpointOptions {
  DeltaOptions() { bits = 4; }
  int64_t max_samples = 20000;

  static void describe(OptionSet<DeltaOptions>& o) {
    boundary::describe_fixpoint(o);
    o.field("max_samples", &DeltaOptions::max_samples)
        .at_least(1)
        .original("--max-activation-cache-size")
        .doc("Samples remembered at each end; beyond it the one used longest ago is forgotten.");
  }
};

class Delta final : public boundary::DeltaLink {
 public:
  explicit Delta(const DeltaOptions& options)
      : DeltaLink("delta", options.form(), options.max_samples) {}

 private:
  at::Tensor keep(const at::Tensor& m_SC) const override {
    return boundary::saturated(m_SC, at::kHalf);
  }

  at::Tensor recall(const at::Tensor& kept, int64_t sequence, int64_t channels) const override {
    QTK_CHECK(kept.size(0) == sequence && kept.size(1) == channels, "delta remembers a sample as ",
              kept.sizes(), ", now it is [", sequence, ", ", channels, "]");
    return kept;
  }
};

}  // namespace
}  // namespace qtk

using qtk::Delta;
using qtk::DeltaOptions;
QTK_PLUGIN(Compressor, Delta, DeltaOptions, .name = "delta", .version = "0.1.0",
           .summary = "Changes of activations between visits of a sample, in fixed point",
           .paper = "AQ-SGD, arXiv 2206.01299")
