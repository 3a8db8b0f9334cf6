// A quantizer that rounds weights to multiples of 1/8 and counts what is asked of it.
#pragma once

#include <qtk/api/quantizer.hpp>

#include <ATen/ATen.h>

#include <memory>
#include <vector>

namespace qtk::model {

class FakeLinear final : public QuantizedLinear {
 public:
  explicit FakeLinear(LinearInit init) : weight_((init.weight * 8).round() / 8), bias_(init.bias) {}

  at::Tensor forward(const at::Tensor& x) override {
    ++num_calls;
    return at::linear(x, weight_, bias_.defined() ? std::optional(bias_) : std::nullopt);
  }
  at::Tensor weight() const override { return weight_; }
  PackedWeight pack() const override { return {}; }

  int num_calls = 0;

 private:
  at::Tensor weight_, bias_;
};

class FakeQuantizer final : public Quantizer {
 public:
  QuantizerTraits traits() const override { return {}; }
  int64_t storage_bits(const LinearSite&) const override { return 0; }
  std::unique_ptr<QuantizedLinear> attach(const LinearSite&, LinearInit init) override {
    return std::make_unique<FakeLinear>(std::move(init));
  }
  std::unique_ptr<QuantizedLinear> unpack(const LinearSite&, PackedWeight, at::Tensor) override {
    return nullptr;
  }

  std::unique_ptr<JointForward> fuse(std::span<QuantizedLinear* const> layers) override {
    fused.emplace_back(layers.begin(), layers.end());
    if (!joins) return nullptr;
    struct Joint final : JointForward {
      std::vector<at::Tensor> forward(const at::Tensor& x) override {
        ++*num_calls;
        std::vector<at::Tensor> outputs;
        for (auto* layer : layers) outputs.push_back(layer->forward(x));
        return outputs;
      }
      std::vector<QuantizedLinear*> layers;
      int* num_calls = nullptr;
    };
    auto joint = std::make_unique<Joint>();
    joint->layers = fused.back();
    joint->num_calls = &num_joint_calls;
    return joint;
  }

  bool joins = true;
  std::vector<std::vector<QuantizedLinear*>> fused;
  int num_joint_calls = 0;
};

}  // namespace qtk::model
