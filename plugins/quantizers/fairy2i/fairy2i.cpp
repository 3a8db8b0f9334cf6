// Fairy2i with Hestia's softening: weights as sums of complex codes +-1, +-i, one bit per weight
// and stage.
#include "fairy2i_codec.hpp"

#include <qtk/plugin.hpp>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <latent_weight/coded_linear.hpp>
#include <latent_weight/gradient.hpp>
#include <latent_weight/latent_linear.hpp>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>

namespace qtk {
namespace {

struct Fairy2iOptions {
  int stages = 2;
  std::string compat = "none";

  static void describe(OptionSet<Fairy2iOptions>& o) {
    o.field("stages", &Fairy2iOptions::stages)
        .range(1, 4)
        .original("phase_quant_version v1 ... v4, fairy2i_steps")
        .doc("Residual stages; each costs one bit per weight.");
    o.field("compat", &Fairy2iOptions::compat)
        .one_of({"none", "v0"})
        .doc("v0 differentiates the scales too, as the authors' first code did.");
  }
};

/// W = w + p (H(w) - w), H hard at temperature 0.
class Fairy2iLinear final : public latent::LatentLinear {
 public:
  struct Settings {
    std::shared_ptr<const fairy2i::Fairy2iCodec> codec;
    Fairy2iOptions options;
  };

  Fairy2iLinear(const Settings& settings, const LinearSite& site, LinearInit init)
      : LatentLinear(settings.codec, site, std::move(init)), settings_(settings) {}

  void set(const Knobs& knobs) override {
    temperature_ = std::max(0.0, knobs.has("temperature") ? knobs.at("temperature") : 0.0);
    pressure_ = knobs.has("pressure") ? knobs.at("pressure") : 1.0;
    QTK_CHECK(std::isfinite(temperature_) && pressure_ >= 0 && pressure_ <= 1, "knobs of ",
              site().name, ": temperature ", temperature_, ", pressure ", pressure_,
              ", expected 0 to 1");
  }

 protected:
  at::Tensor effective_weight(at::ScalarType wanted) override {
    if (pressure_ == 0) return latent();
    if (temperature_ == 0) return hard_weight(wanted);
    const auto soft = [form = soft_form(), pressure = pressure_](const at::Tensor& w) {
      return w + pressure * (fairy2i::soft_weight(w, form) - w);
    };
    at::Tensor value;
    {
      const at::NoGradGuard no_grad;
      value = soft(latent().detach());
    }
    // The graph of the formula is made again when its gradient is asked for: nothing is kept.
    return latent::with_backward(
        latent(), value, [soft, latent = latent().detach()](const at::Tensor& gradient) {
          const at::AutoGradMode records(true);
          const at::Tensor leaf = latent.detach().requires_grad_();
          return torch::autograd::grad({soft(leaf)}, {leaf}, {gradient.to(leaf.scalar_type())})
              .front();
        });
  }

 private:
  at::Tensor hard_weight(at::ScalarType wanted) {
    if (pressure_ == 1) return LatentLinear::effective_weight(wanted);
    at::Tensor value;
    {
      const at::NoGradGuard no_grad;
      const at::Tensor w = latent().detach();
      value = w + pressure_ * (settings_.codec->decode(site(), coded()) - w);
    }
    return latent::straight_through(latent(), value);  // (1 - p) g + p g
  }

  fairy2i::SoftForm soft_form() const {
    const bool is_v0 = settings_.options.compat == "v0";
    return {.stages = settings_.options.stages,
            .temperature = temperature_ + (is_v0 ? 1e-6 : 0),
            .has_scale_gradient = is_v0};
  }

  const Settings settings_;
  double temperature_ = 0, pressure_ = 1;
};

class Fairy2i final : public Quantizer {
 public:
  explicit Fairy2i(Fairy2iOptions options)
      : settings_{.codec = std::make_shared<fairy2i::Fairy2iCodec>(options.stages),
                  .options = std::move(options)} {}

  QuantizerTraits traits() const override { return {.is_trainable = true}; }

  int64_t storage_bits(const LinearSite& site) const override {
    return latent::storage_bits(settings_.codec->layout(site));
  }

  std::unique_ptr<QuantizedLinear> attach(const LinearSite& site, LinearInit init) override {
    return std::make_unique<Fairy2iLinear>(settings_, site, std::move(init));
  }

  std::unique_ptr<QuantizedLinear> unpack(const LinearSite& site, PackedWeight packed,
                                          at::Tensor bias) override {
    return std::make_unique<latent::CodedLinear>(settings_.codec, site, std::move(packed),
                                                 std::move(bias));
  }

 private:
  const Fairy2iLinear::Settings settings_;
};

}  // namespace
}  // namespace qtk

using qtk::Fairy2i;
using qtk::Fairy2iOptions;
QTK_PLUGIN(Quantizer, Fairy2i, Fairy2iOptions, .name = "fairy2i", .version = "0.1.0",
           .summary = "Weights as sums of complex codes +-1, +-i, softened as in Hestia",
           .paper = "Fairy2i, arXiv 2512.02901; Hestia, arXiv 2601.20745")
