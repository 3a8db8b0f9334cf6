// Straight-through training to ternary, 2 or 4 bits: what softer methods are compared with.
#include "ste_codec.hpp"

#include <qtk/plugin.hpp>

#include <latent_weight/coded_linear.hpp>
#include <latent_weight/latent_linear.hpp>
#include <latent_weight/scale_options.hpp>

namespace qtk {
namespace {

struct SteOptions {
  std::string scheme = "ternary";
  int64_t group_size = 128;
  std::string scale_dtype = "f32";

  static void describe(OptionSet<SteOptions>& o) {
    o.field("scheme", &SteOptions::scheme)
        .one_of({"ternary", "w2_sym", "w2_asym", "w4_sym", "w4_asym"})
        .original("--quant-type")
        .doc("Ternary by absolute mean, or 2 or 4 bits by the range of a group.");
    latent::describe_scales(o);
  }
};

class Ste final : public Quantizer {
 public:
  explicit Ste(const SteOptions& options)
      : codec_(std::make_shared<ste::SteCodec>(ste::scheme_of(options.scheme), options.group_size,
                                               storage_dtype(options.scale_dtype))) {}

  QuantizerTraits traits() const override { return {.is_trainable = true}; }

  int64_t storage_bits(const LinearSite& site) const override {
    return latent::storage_bits(codec_->layout(site));
  }

  std::unique_ptr<QuantizedLinear> attach(const LinearSite& site, LinearInit init) override {
    return std::make_unique<latent::LatentLinear>(codec_, site, std::move(init));
  }

  std::unique_ptr<QuantizedLinear> unpack(const LinearSite& site, PackedWeight packed,
                                          at::Tensor bias) override {
    return std::make_unique<latent::CodedLinear>(codec_, site, std::move(packed), std::move(bias));
  }

 private:
  const std::shared_ptr<const ste::SteCodec> codec_;
};

}  // namespace
}  // namespace qtk

using qtk::Ste;
using qtk::SteOptions;
QTK_PLUGIN(Quantizer, Ste, SteOptions, .name = "ste", .version = "0.1.0",
           .summary = "Straight-through training to ternary, 2 or 4 bits",
           .paper =
               "straight-through estimator, arXiv 1308.3432; ternary as BitNet b1.58, arXiv "
               "2402.17764")
