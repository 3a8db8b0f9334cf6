// What every quantizer must satisfy:  QTK_INSTANTIATE_CONTRACT(QuantizerContract, "rtn");
#pragma once

#include <qtk/testing/config_error.hpp>
#include <qtk/testing/global_state.hpp>
#include <qtk/testing/memory_state.hpp>
#include <qtk/testing/quantizer_fixture.hpp>
#include <qtk/weight_only.hpp>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

namespace qtk::testing {

// The first test, because what another one changed would look like the usual state.
TEST_P(QuantizerContract, ProcessStateIsLeftAlone) {
  const GlobalState before;

  observe(options_);
  unpack(attach()->pack())->forward(x_TI_);

  EXPECT_EQ(before.changes(), "");
}

TEST_P(QuantizerContract, DefaultOptionsAreValid) { EXPECT_NO_THROW(make<Quantizer>(plugin_, {})); }

TEST_P(QuantizerContract, PackedWeightRebuildsTheWeightBitForBit) {
  const auto attached = attach();

  const auto rebuilt = unpack(attached->pack());

  EXPECT_TRUE(at::equal(rebuilt->weight(), attached->weight()));
  expect_same(rebuilt->pack(), attached->pack());
}

TEST_P(QuantizerContract, WeightHasTheSitesShapeAndNoGradient) {
  const at::Tensor weight_OI = attach()->weight();

  EXPECT_EQ(weight_OI.sizes(), weight_OI_.sizes());
  EXPECT_EQ(weight_OI.scalar_type(), at::kFloat);
  EXPECT_FALSE(weight_OI.requires_grad());
  EXPECT_TRUE(weight_OI.isfinite().all().item<bool>());
}

TEST_P(QuantizerContract, StorageBitsAreThoseOfThePackedTensors) {
  const PackedWeight packed = attach()->pack();

  EXPECT_EQ(quantizer_->storage_bits(site_), packed.storage_bits());
  for (const auto& [name, tensor] : packed.tensors)
    EXPECT_TRUE(tensor.device().is_cpu() && tensor.is_contiguous()) << name;
}

TEST_P(QuantizerContract, EqualInputsGiveEqualBits) {
  EXPECT_TRUE(observe(options_) == observe(options_));
}

TEST_P(QuantizerContract, ForwardIsTheLinearMapOfItsWeight) {
  const at::NoGradGuard no_grad;
  const auto rebuilt = unpack(attach()->pack());

  expect_close(rebuilt->forward(x_TI_), at::linear(x_TI_, rebuilt->weight(), bias_O_));
}

TEST_P(QuantizerContract, BiasIsAddedOnce) {
  const at::NoGradGuard no_grad;
  const PackedWeight packed = attach()->pack();
  const auto without = quantizer_->unpack(site_, packed, at::Tensor());

  expect_close(unpack(packed)->forward(x_TI_), without->forward(x_TI_) + bias_O_);
}

TEST_P(QuantizerContract, StridedInputGivesTheSameOutput) {
  const at::NoGradGuard no_grad;
  const auto layer = unpack(attach()->pack());
  const at::Tensor strided = x_TI_.t().contiguous().t();
  ASSERT_FALSE(strided.is_contiguous());

  expect_close(layer->forward(strided), layer->forward(x_TI_));
}

TEST_P(QuantizerContract, LeadingDimensionsAreKept) {
  const at::NoGradGuard no_grad;
  const auto layer = attach();

  const at::Tensor y = layer->forward(x_TI_.reshape({2, 3, site_.in_features}));

  EXPECT_EQ(y.sizes(), (std::vector<int64_t>{2, 3, site_.out_features}));
  expect_close(y.reshape({6, site_.out_features}), layer->forward(x_TI_));
}

TEST_P(QuantizerContract, EmptyBatchGivesEmptyOutput) {
  const at::NoGradGuard no_grad;

  EXPECT_EQ(attach()->forward(x_TI_.slice(0, 0, 0)).sizes(),
            (std::vector<int64_t>{0, site_.out_features}));
}

TEST_P(QuantizerContract, InputsAreLeftAlone) {
  const LinearInit given = init();
  const at::Tensor x = x_TI_.clone();
  const at::NoGradGuard no_grad;

  const auto layer = quantizer_->attach(site_, given);
  const at::Tensor y = layer->forward(x);
  layer->pack();

  EXPECT_TRUE(at::equal(given.weight, weight_OI_));
  EXPECT_TRUE(at::equal(given.bias, bias_O_));
  EXPECT_TRUE(at::equal(x, x_TI_));
  EXPECT_FALSE(y.is_alias_of(x));
}

TEST_P(QuantizerContract, HalfPrecisionWeightCountsAsItsValuesInSinglePrecision) {
  LinearInit half = init(), single = init();
  half.weight = weight_OI_.to(at::kBFloat16);
  single.weight = half.weight.to(at::kFloat);

  expect_same(quantizer_->attach(site_, half)->pack(), quantizer_->attach(site_, single)->pack());
}

TEST_P(QuantizerContract, DamagedPackedTensorsAreRefused) {
  const PackedWeight packed = attach()->pack();
  for (const auto& [name, tensor] : packed.tensors) {
    PackedWeight missing = packed, longer = packed, other_dtype = packed;
    missing.tensors.erase(name);
    longer.tensors[name] = at::cat({tensor.flatten(), tensor.flatten()});
    other_dtype.tensors[name] = tensor.to(at::kDouble);

    EXPECT_THROW(unpack(missing), DataError) << name;
    EXPECT_THROW(unpack(longer), DataError) << name;
    EXPECT_THROW(unpack(other_dtype), DataError) << name;
  }
}

TEST_P(QuantizerContract, GradientReachesEveryTrainableTensor) {
  const auto layer = attach();
  auto* form = trainable(*layer);
  if (!form) GTEST_SKIP() << GetParam().id << " does not train";

  form->forward(x_TI_).square().sum().backward();

  ASSERT_FALSE(form->trainable().empty());
  for (const TrainableTensor& tensor : form->trainable()) {
    ASSERT_TRUE(tensor.leaf.requires_grad() && tensor.leaf.is_leaf()) << tensor.name;
    ASSERT_TRUE(tensor.leaf.grad().defined()) << tensor.name;
    EXPECT_TRUE(tensor.leaf.grad().isfinite().all().item<bool>()) << tensor.name;
    EXPECT_GT(tensor.leaf.grad().abs().max().item<double>(), 0) << tensor.name;
  }
}

TEST_P(QuantizerContract, WeightOnlyGradientPassesStraightThrough) {
  if (!dynamic_cast<WeightOnlyQuantizer*>(quantizer_.get()))
    GTEST_SKIP() << GetParam().id << " is no WeightOnlyQuantizer";
  const auto layer = attach();
  auto* form = trainable(*layer);
  ASSERT_NE(form, nullptr);
  const at::Tensor upstream_TO = gaussian({6, site_.out_features}, /*seed=*/5);

  form->forward(x_TI_).backward(upstream_TO);

  const at::Tensor grad_OI = form->trainable().front().leaf.grad();
  EXPECT_TRUE(at::allclose(grad_OI, upstream_TO.t().matmul(x_TI_), 1e-5, 1e-5));
}

TEST_P(QuantizerContract, SavedStateContinuesWhereItWas) {
  const auto first = attach();
  auto* form = trainable(*first);
  if (!form) GTEST_SKIP() << GetParam().id << " does not train";
  const auto second = attach();
  Behaviour ignored;
  for (int64_t step = 0; step < 2; ++step) take_step(*form, step, ignored);
  MemoryState state;

  first->save(state);
  second->load(state);

  // Leaves are saved by whoever optimizes them; a method may save them as well.
  const at::NoGradGuard no_grad;
  auto* other = trainable(*second);
  for (size_t i = 0; i < form->trainable().size(); ++i)
    other->trainable()[i].leaf.copy_(form->trainable()[i].leaf);

  expect_same(second->pack(), first->pack());
}

TEST_P(QuantizerContract, EveryOptionMatters) {
  check_every_option_matters(plugin_, GetParam(),
                             [this](const OptionValues& values) { return observe(values); });
}

TEST_P(QuantizerContract, ValuesOutsideOfDocumentedBoundsAreRefused) {
  check_bounds_are_enforced(plugin_);
}

}  // namespace qtk::testing
