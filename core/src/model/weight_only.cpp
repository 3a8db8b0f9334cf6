#include "model/straight_through.hpp"
#include "model/weight_only_packing.hpp"

#include <qtk/bit_packing.hpp>
#include <qtk/linear_product.hpp>
#include <qtk/runtime/check.hpp>
#include <qtk/runtime/error.hpp>
#include <qtk/weight_only.hpp>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <map>
#include <mutex>
#include <utility>

namespace qtk {
namespace {

using model::check_quantized;

Quantized to_device(const Quantized& q, at::Device device) {
  return {q.codes.to(device), q.scales.to(device), q.zeros.defined() ? q.zeros.to(device) : q.zeros,
          q.bits};
}

/// For inference. On the CPU it holds the packed tensors, possibly the mapped file itself, and
/// codes and a dense weight only while it multiplies; on another device the codes, one byte each.
class CodedLinear final : public QuantizedLinear {
 public:
  CodedLinear(const WeightOnlyQuantizer& quantizer, LinearSite site, PackedWeight packed,
              Quantized prototype, at::Tensor bias)
      : quantizer_(quantizer),
        site_(std::move(site)),
        packed_(std::move(packed)),
        prototype_(std::move(prototype)),
        bias_(std::move(bias)) {
    unpacked();  // damage is reported when the model is opened, not in its first forward
  }

  at::Tensor forward(const at::Tensor& x) override {
    return linear_product(x, x.device().is_cpu() ? weight() : weight_on(x.device()), bias_);
  }

  at::Tensor weight() const override {
    const at::NoGradGuard no_grad;
    return quantizer_.dequantize(unpacked());
  }

  PackedWeight pack() const override { return packed_; }
  std::optional<UniformGrid> grid() const override { return quantizer_.grid(unpacked()); }

 private:
  /// Packed files are read on the CPU; the first input tells where the run computes.
  at::Tensor weight_on(at::Device device) {
    const at::NoGradGuard no_grad;
    if (!resident_ || resident_->codes.device() != device)
      resident_ = to_device(unpacked(), device);
    return quantizer_.dequantize(*resident_);
  }

  Quantized unpacked() const { return model::unpack_quantized(site_, packed_, prototype_); }

  const WeightOnlyQuantizer& quantizer_;
  const LinearSite site_;
  const PackedWeight packed_;
  const Quantized prototype_;
  const at::Tensor bias_;
  std::optional<Quantized> resident_;
};

/// For training: a latent fp32 weight that is quantized anew in every forward.
class LatentLinear final : public TrainableLinear {
 public:
  LatentLinear(const WeightOnlyQuantizer& quantizer, LinearSite site, const at::Tensor& weight,
               at::Tensor bias)
      : quantizer_(quantizer),
        site_(std::move(site)),
        latent_(weight.detach().to(at::kFloat).contiguous().requires_grad_()),
        bias_(std::move(bias)) {}

  at::Tensor forward(const at::Tensor& x) override {
    return linear_product(x, model::straight_through(latent_, weight()), bias_);
  }

  at::Tensor weight() const override {
    const at::NoGradGuard no_grad;
    return quantizer_.dequantize(quantized());
  }

  PackedWeight pack() const override { return model::pack_quantized(site_, quantized()); }
  std::optional<UniformGrid> grid() const override { return quantizer_.grid(quantized()); }

  std::vector<TrainableTensor> trainable() override {
    return {{.name = "weight", .leaf = latent_}};
  }

  void save(StateWriter& out) const override { out.tensor("weight", latent_); }

  void load(StateReader& in) override {
    const at::Tensor saved = in.tensor("weight");
    if (saved.sizes() != latent_.sizes() || saved.scalar_type() != at::kFloat)
      throw DataError("the saved weight of " + site_.name + " is " + model::tensor_text(saved) +
                      ", expected " + model::tensor_text(latent_));
    const at::NoGradGuard no_grad;
    latent_.copy_(saved);
  }

 private:
  Quantized quantized() const {
    const at::NoGradGuard no_grad;
    return quantizer_.quantize(latent_.detach());
  }

  const WeightOnlyQuantizer& quantizer_;
  const LinearSite site_;
  at::Tensor latent_;
  const at::Tensor bias_;
};

Quantized without_memory(const Quantized& q) {
  const auto meta = [](const at::Tensor& tensor) {
    return tensor.defined() ? at::empty(tensor.sizes(), tensor.options().device(at::kMeta))
                            : tensor;
  };
  return {meta(q.codes), meta(q.scales), meta(q.zeros), q.bits};
}

void check_bias(const LinearSite& site, const at::Tensor& bias) {
  QTK_CHECK(!bias.defined() || (bias.dim() == 1 && bias.size(0) == site.out_features), "bias of ",
            site.name, " must be [", site.out_features, "], got ", bias.sizes());
}

}  // namespace

struct WeightOnlyQuantizer::Prototypes {
  std::mutex mutex;
  std::map<std::pair<int64_t, int64_t>, Quantized> by_shape;
};

WeightOnlyQuantizer::WeightOnlyQuantizer() : prototypes_(std::make_unique<Prototypes>()) {}
WeightOnlyQuantizer::~WeightOnlyQuantizer() = default;

std::optional<UniformGrid> WeightOnlyQuantizer::grid(const Quantized&) const {
  return std::nullopt;
}

QuantizerTraits WeightOnlyQuantizer::traits() const { return {.is_trainable = true}; }

int64_t WeightOnlyQuantizer::storage_bits(const LinearSite& site) const {
  return model::packed_layout(site, prototype(site)).storage_bits();
}

std::unique_ptr<QuantizedLinear> WeightOnlyQuantizer::attach(const LinearSite& site,
                                                             LinearInit init) {
  QTK_CHECK(init.weight.defined() && init.weight.dim() == 2 &&
                init.weight.size(0) == site.out_features && init.weight.size(1) == site.in_features,
            "weight of ", site.name, " must be [", site.out_features, ", ", site.in_features,
            "], got ", model::tensor_text(init.weight));
  check_bias(site, init.bias);
  prototype(
      site);  // options that do not fit the site must be refused here, not in the first forward
  return std::make_unique<LatentLinear>(*this, site, init.weight, std::move(init.bias));
}

std::unique_ptr<QuantizedLinear> WeightOnlyQuantizer::unpack(const LinearSite& site,
                                                             PackedWeight packed, at::Tensor bias) {
  check_bias(site, bias);
  return std::make_unique<CodedLinear>(*this, site, std::move(packed), prototype(site),
                                       std::move(bias));
}

Quantized WeightOnlyQuantizer::prototype(const LinearSite& site) const {
  const std::pair shape(site.out_features, site.in_features);
  {
    const std::lock_guard lock(prototypes_->mutex);
    if (const auto known = prototypes_->by_shape.find(shape); known != prototypes_->by_shape.end())
      return known->second;
  }
  const at::NoGradGuard no_grad;
  Quantized made;
  try {
    made = quantize(at::zeros({site.out_features, site.in_features}, at::kFloat));
  } catch (const c10::Error& error) {
    // The shape is all that this call has in common with the site, so the shape is at fault.
    throw ConfigError(site.name + " [" + std::to_string(site.out_features) + ", " +
                          std::to_string(site.in_features) +
                          "] cannot be quantized: " + error.what_without_backtrace(),
                      "choose options that fit the layer, or exclude it by a rule");
  }
  check_quantized(site, made);
  made = without_memory(made);
  const std::lock_guard lock(prototypes_->mutex);
  return prototypes_->by_shape.emplace(shape, std::move(made)).first->second;
}

}  // namespace qtk
