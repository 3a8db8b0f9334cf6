// Hestia: training of weights of 1 to 2 bits through a soft codebook that a scheduler hardens, one
// temperature per layer.
#include "hestia_codec.hpp"
#include "hestia_linear.hpp"

#include <qtk/plugin.hpp>

#include <latent_weight/coded_linear.hpp>
#include <latent_weight/scale_options.hpp>

namespace qtk {
namespace {

struct HestiaOptions {
  std::string codebook = "ternary";
  int64_t group_size = 128;
  std::string scale_dtype = "f32";
  std::string compat = "none";
  int64_t metrics_every = 20;

  static void describe(OptionSet<HestiaOptions>& o) {
    o.field("codebook", &HestiaOptions::codebook)
        .original("codebook")
        .doc("binary {-1, 1}, ternary {-1, 0, 1}, int2 {-2, -1, 0, 1}, or numbers with commas.");
    latent::describe_scales(o);
    o.field("compat", &HestiaOptions::compat)
        .one_of({"none", "v0"})
        .doc("v0 computes as the authors' first code did, ternary only.");
    o.field("metrics_every", &HestiaOptions::metrics_every)
        .range(0, 1000000000)
        .unit("step")
        .doc("Steps between measurements of flipped codes, thresholds and zeros; 0: none.");
  }

  void validate() const {
    const std::vector<double> levels = hestia::parse_codebook(codebook);
    if (compat == "v0" && levels != std::vector<double>{-1, 0, 1})
      throw ConfigError("compat v0 quantizes to the codebook ternary, got '" + codebook + "'",
                        "set codebook: ternary, or compat: none");
  }

  hestia::CodecOptions codec() const {
    return {.levels = hestia::parse_codebook(codebook),
            .group_size = group_size,
            .semantics = compat == "v0" ? hestia::Semantics::kV0 : hestia::Semantics::kReleased,
            .scale_dtype = storage_dtype(scale_dtype)};
  }
};

class Hestia final : public Quantizer {
 public:
  Hestia(const HestiaOptions& options, RunContext& context)
      : settings_{.codec = std::make_shared<hestia::HestiaCodec>(options.codec()),
                  .context = &context,
                  .metrics_every = options.metrics_every} {}

  QuantizerTraits traits() const override { return {.is_trainable = true}; }

  int64_t storage_bits(const LinearSite& site) const override {
    return latent::storage_bits(settings_.codec->layout(site));
  }

  std::unique_ptr<QuantizedLinear> attach(const LinearSite& site, LinearInit init) override {
    return std::make_unique<hestia::HestiaLinear>(settings_, site, std::move(init));
  }

  std::unique_ptr<QuantizedLinear> unpack(const LinearSite& site, PackedWeight packed,
                                          at::Tensor bias) override {
    return std::make_unique<latent::CodedLinear>(settings_.codec, site, std::move(packed),
                                                 std::move(bias));
  }

 private:
  const hestia::HestiaLinear::Settings settings_;
};

}  // namespace
}  // namespace qtk

using qtk::Hestia;
using qtk::HestiaOptions;
QTK_PLUGIN(Quantizer, Hestia, HestiaOptions, .name = "hestia", .version = "0.1.0",
           .summary = "Training to 1-2 bits through a codebook softened by a temperature",
           .paper = "Hestia, arXiv 2601.20745")
