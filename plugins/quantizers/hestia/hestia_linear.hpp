// The layer that Hestia trains.
#pragma once

#include "hestia_codec.hpp"

#include <qtk/runtime/run_context.hpp>

#include <latent_weight/grouping.hpp>
#include <latent_weight/latent_linear.hpp>

#include <memory>

namespace qtk::hestia {

/// Driven by the knobs `temperature` (default 0: hard) and `pressure` (default 1). The effective
/// weight of a step is made once, however many micro-batches it has, and dropped when the latent
/// weight or the knobs change.
class HestiaLinear final : public latent::LatentLinear {
 public:
  struct Settings {
    std::shared_ptr<const HestiaCodec> codec;
    RunContext* context = nullptr;
    int64_t metrics_every = 0;  // steps; 0: never
  };

  HestiaLinear(const Settings& settings, const LinearSite& site, LinearInit init);

  void set(const Knobs& knobs) override;
  void after_step(const StepInfo& info) override;
  void save(StateWriter& out) const override;
  void load(StateReader& in) override;

 protected:
  at::Tensor effective_weight(at::ScalarType wanted) override;

 private:
  /// Shares of weights, to RunContext::metric: code_flip_rate, near_threshold, zero_fraction.
  void measure(int64_t step);
  bool is_deployed() const { return form_.is_hard() && form_.pressure == 1; }
  at::Tensor make_value(at::ScalarType wanted) const;

  const Settings settings_;
  const latent::Grouping grouping_;
  Form form_;
  at::Tensor value_;  // effective weight at value_version_ of the latent weight; or undefined
  uint32_t value_version_ = 0;
  at::Tensor measured_codes_;  // of the last measured step
};

}  // namespace qtk::hestia
