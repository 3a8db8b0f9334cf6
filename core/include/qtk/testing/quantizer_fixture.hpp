// What the tests of quantizer_contract.hpp have in common: a site, its tensors, and ways to look at
// a layer.
#pragma once

#include <qtk/testing/contract_subject.hpp>
#include <qtk/testing/option_contract.hpp>
#include <qtk/testing/plugin_under_test.hpp>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

namespace qtk::testing {

class QuantizerContract : public ::testing::TestWithParam<ContractSubject> {
 protected:
  const PluginUnderTest plugin_ = plugin_under_test<Quantizer>(GetParam().id);
  const LinearSite site_{.name = "model.layers.0.self_attn.q_proj",
                         .index = 0,
                         .block = 0,
                         .role = "q_proj",
                         .out_features = GetParam().out_features,
                         .in_features = GetParam().in_features};
  const at::Tensor weight_OI_ = gaussian({site_.out_features, site_.in_features}, /*seed=*/1) * 0.1;
  const at::Tensor bias_O_ = gaussian({site_.out_features}, /*seed=*/2);
  const at::Tensor x_TI_ = gaussian({6, site_.in_features}, /*seed=*/3);
  const OptionValues options_ = parse_options(plugin_, GetParam().options);
  const std::shared_ptr<Quantizer> quantizer_ = make<Quantizer>(plugin_, options_);

  LinearInit init() const {
    LinearInit init{.weight = weight_OI_.clone(), .bias = bias_O_.clone()};
    if (quantizer_->traits().needs_gram) {
      const at::Tensor samples = gaussian({4 * site_.in_features, site_.in_features}, /*seed=*/4);
      init.gram = samples.t().matmul(samples) / samples.size(0);
    }
    return init;
  }
  std::unique_ptr<QuantizedLinear> attach() const { return quantizer_->attach(site_, init()); }
  std::unique_ptr<QuantizedLinear> unpack(PackedWeight packed) const {
    return quantizer_->unpack(site_, std::move(packed), bias_O_);
  }
  Knobs knobs() const {
    Knobs knobs;
    for (const auto& [name, value] : GetParam().knobs) knobs.set(name, value);
    return knobs;
  }
  /// Null if the method does not train.
  TrainableLinear* trainable(QuantizedLinear& layer) const {
    if (!quantizer_->traits().is_trainable) return nullptr;
    auto* form = dynamic_cast<TrainableLinear*>(&layer);
    EXPECT_NE(form, nullptr) << "traits().is_trainable, but attach() returns no TrainableLinear";
    if (form) form->set(knobs());
    return form;
  }

  void expect_close(const at::Tensor& found, const at::Tensor& expected) const {
    ASSERT_EQ(found.sizes(), expected.sizes());
    const double scale = std::max(1e-6, expected.abs().max().item<double>());
    EXPECT_LE((found - expected).abs().max().item<double>(), GetParam().forward_tolerance * scale);
  }
  static void expect_same(const PackedWeight& found, const PackedWeight& expected) {
    ASSERT_EQ(found.tensors.size(), expected.tensors.size());
    for (const auto& [name, tensor] : expected.tensors) {
      ASSERT_TRUE(found.tensors.contains(name)) << name;
      EXPECT_EQ(found.tensors.at(name).scalar_type(), tensor.scalar_type()) << name;
      EXPECT_TRUE(at::equal(found.tensors.at(name), tensor)) << name;
    }
  }

  /// All that can be seen of a layer, and of two steps of gradient descent where the method trains.
  Behaviour observe(const OptionValues& values) const {
    const auto quantizer = make<Quantizer>(plugin_, values);
    Behaviour seen;
    seen.see(std::to_string(quantizer->storage_bits(site_)));
    seen.see(std::to_string(quantizer->traits().is_trainable) +
             std::to_string(quantizer->traits().needs_gram));
    const auto layer = quantizer->attach(site_, init());
    see(*layer, seen);
    if (auto* form = trainable(*layer); form && quantizer->traits().is_trainable)
      for (int64_t step = 0; step < 2; ++step) take_step(*form, step, seen);
    see(*layer, seen);
    return seen;
  }

  /// One step of gradient descent.
  void take_step(TrainableLinear& layer, int64_t step, Behaviour& seen) const {
    layer.set(knobs());
    layer.forward(x_TI_).square().mean().backward();
    const StepInfo info{.step = step, .total_steps = 2, .learning_rate = 0.1};
    layer.before_step(info);
    for (const TrainableTensor& tensor : layer.trainable()) {
      seen.see(tensor.name + " " + tensor.group);
      seen.see(tensor.leaf.grad());
      if (!tensor.leaf.grad().defined() || tensor.is_collect_only) continue;
      const at::NoGradGuard no_grad;
      tensor.leaf.sub_(0.1 * tensor.leaf.grad());
      tensor.leaf.mutable_grad().reset();
    }
    layer.after_step(info);
  }

 private:
  void see(QuantizedLinear& layer, Behaviour& seen) const {
    const at::NoGradGuard no_grad;
    seen.see(layer.forward(x_TI_));
    seen.see(layer.weight());
    for (const auto& [name, tensor] : layer.pack().tensors) {
      seen.see(name);
      seen.see(tensor);
    }
  }
};

}  // namespace qtk::testing
