// As delta, with a memory of 2 to 8 bits a value instead of 16.
#include "nibble_cache.hpp"

#include <qtk/plugin.hpp>

#include <boundary_codec/delta_link.hpp>
#include <boundary_codec/fixpoint_options.hpp>

namespace qtk {
namespace {

struct DeltaLowbitsOptions : boundary::FixpointOptions {
  DeltaLowbitsOptions() { bits = 4; }
  int cache_bits = 4;
  int64_t max_samples = 20000;

  static void describe(OptionSet<DeltaLowbitsOptions>& o) {
    boundary::describe_fixpoint(o);
    o.field("cache_bits", &DeltaLowbitsOptions::cache_bits)
        .one_of({2, 4, 8})
        .unit("bit")
        .searchable()
        .original("--forward-bits-act")
        .doc("Width of a remembered value.");
    o.field("max_samples", &DeltaLowbitsOptions::max_samples)
        .at_least(1)
        .original("--max-activation-cache-size")
        .doc("Samples remembered at each end; beyond it the one used longest ago is forgotten.");
  }
};

class DeltaLowbits final : public boundary::DeltaLink {
 public:
  explicit DeltaLowbits(const DeltaLowbitsOptions& options)
      : DeltaLink("delta_lowbits", options.form(), options.max_samples),
        cache_bits_(options.cache_bits) {}

 private:
  at::Tensor keep(const at::Tensor& m_SC) const override {
    return lowbits::pack_cache(m_SC, cache_bits_);
  }

  at::Tensor recall(const at::Tensor& kept, int64_t sequence, int64_t channels) const override {
    return lowbits::unpack_cache(kept, sequence, channels, cache_bits_);
  }

  const int cache_bits_;
};

}  // namespace
}  // namespace qtk

using qtk::DeltaLowbits;
using qtk::DeltaLowbitsOptions;
QTK_PLUGIN(Compressor, DeltaLowbits, DeltaLowbitsOptions, .name = "delta_lowbits",
           .version = "0.1.0", .summary = "As delta, with a memory of 2, 4 or 8 bits a value",
           .paper = "AQ-SGD, arXiv 2206.01299")
