// What every compressor must satisfy:  QTK_INSTANTIATE_CONTRACT(CompressorContract, "fixpoint");
#pragma once

#include <qtk/testing/config_error.hpp>
#include <qtk/testing/contract_subject.hpp>
#include <qtk/testing/global_state.hpp>
#include <qtk/testing/memory_state.hpp>
#include <qtk/testing/option_contract.hpp>
#include <qtk/testing/plugin_under_test.hpp>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>

namespace qtk::testing {

class CompressorContract : public ::testing::TestWithParam<ContractSubject> {
 protected:
  static constexpr int64_t kSamples[] = {7, 11};

  const PluginUnderTest plugin_ = plugin_under_test<Compressor>(GetParam().id);
  const OptionValues options_ = parse_options(plugin_, GetParam().options);

  std::shared_ptr<Compressor> fresh() const { return make<Compressor>(plugin_, options_); }
  /// Micro-batch [2, 16, 64] of a step; steps differ a little, as activations do.
  static at::Tensor activation(int64_t step = 0) {
    return gaussian({2, 16, 64}, /*seed=*/1) +
           0.05 * gaussian({2, 16, 64}, /*seed=*/100 + static_cast<uint64_t>(step));
  }
  static MessageInfo message(const at::Tensor& x, int64_t step = 0) {
    return {.spec = {x.sizes().vec(), x.scalar_type()}, .step = step, .samples = kSamples};
  }
  static at::Tensor encode(Compressor& sender, const at::Tensor& x, const MessageInfo& info) {
    at::Tensor wire = at::full({sender.wire_bytes(info.spec)}, 0xa5, at::kByte);
    sender.encode(x, wire, info);
    return wire;
  }
  static at::Tensor round_trip(Compressor& sender, Compressor& receiver, const at::Tensor& x,
                               int64_t step = 0) {
    return receiver.decode(encode(sender, x, message(x, step)), message(x, step));
  }

  Behaviour observe(const OptionValues& values) const {
    const auto sender = make<Compressor>(plugin_, values),
               receiver = make<Compressor>(plugin_, values);
    Behaviour seen;
    for (int64_t step = 0; step < 3; ++step) {
      const at::Tensor x = activation(step);
      const at::Tensor wire = encode(*sender, x, message(x, step));
      seen.see(wire);
      seen.see(receiver->decode(wire, message(x, step)));
    }
    return seen;
  }
};

// The first test, because what another one changed would look like the usual state.
TEST_P(CompressorContract, ProcessStateIsLeftAlone) {
  const GlobalState before;

  observe(options_);

  EXPECT_EQ(before.changes(), "");
}

TEST_P(CompressorContract, DefaultOptionsAreValid) {
  EXPECT_NO_THROW(make<Compressor>(plugin_, {}));
}

TEST_P(CompressorContract, DecodedTensorHasShapeAndDtypeOfTheOriginal) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const auto sender = fresh(), receiver = fresh();
    const at::Tensor x = activation().to(dtype);

    const at::Tensor y = round_trip(*sender, *receiver, x);

    EXPECT_EQ(y.sizes(), x.sizes());
    EXPECT_EQ(y.scalar_type(), dtype);
  }
}

TEST_P(CompressorContract, ErrorIsBounded) {
  const auto sender = fresh(), receiver = fresh();
  for (int64_t step = 0; step < 3; ++step) {
    const at::Tensor x = activation(step);

    const at::Tensor error = round_trip(*sender, *receiver, x, step) - x;

    EXPECT_LE((error.norm() / x.norm()).item<double>(), GetParam().relative_error)
        << "step " << step;
  }
}

TEST_P(CompressorContract, FiniteInputStaysFinite) {
  constexpr float kTiny = std::numeric_limits<float>::denorm_min(), kLarge = 1e30f;
  const at::Tensor zero = at::zeros({2, 16, 64});
  for (const at::Tensor& x : {zero, zero + 3, zero + kTiny, activation() * kLarge,
                              at::where(activation() > 2, kLarge, activation())}) {
    const auto sender = fresh(), receiver = fresh();

    EXPECT_TRUE(round_trip(*sender, *receiver, x).isfinite().all().item<bool>()) << x.max();
  }
}

TEST_P(CompressorContract, EqualInputsGiveEqualBytes) {
  EXPECT_TRUE(observe(options_) == observe(options_));
}

TEST_P(CompressorContract, EveryByteOfTheMessageIsWritten) {
  const auto first = fresh(), second = fresh();
  const at::Tensor x = activation();
  const MessageInfo info = message(x);
  at::Tensor ones = at::full({first->wire_bytes(info.spec)}, 0xff, at::kByte),
             zeros = at::zeros_like(ones);

  first->encode(x, ones, info);
  second->encode(x, zeros, info);

  EXPECT_TRUE(at::equal(ones, zeros)) << "bytes that are not written leak what was in the buffer";
}

TEST_P(CompressorContract, StridedInputGivesTheSameBytes) {
  const auto first = fresh(), second = fresh();
  const at::Tensor x = activation();
  const at::Tensor strided = x.transpose(1, 2).contiguous().transpose(1, 2);
  ASSERT_FALSE(strided.is_contiguous());

  EXPECT_TRUE(at::equal(encode(*first, x, message(x)), encode(*second, strided, message(x))));
}

TEST_P(CompressorContract, InputIsLeftAlone) {
  const auto sender = fresh(), receiver = fresh();
  const at::Tensor x = activation();

  const at::Tensor y = round_trip(*sender, *receiver, x);

  EXPECT_TRUE(at::equal(x, activation()));
  EXPECT_FALSE(y.is_alias_of(x));
}

TEST_P(CompressorContract, SavedStateContinuesWhereItWas) {
  const auto sender = fresh(), receiver = fresh(), later_sender = fresh(), later_receiver = fresh();
  round_trip(*sender, *receiver, activation(0), 0);
  MemoryState sent, received;

  sender->save(sent);
  receiver->save(received);
  later_sender->load(sent);
  later_receiver->load(received);

  EXPECT_TRUE(at::equal(round_trip(*later_sender, *later_receiver, activation(1), 1),
                        round_trip(*sender, *receiver, activation(1), 1)));
}

TEST_P(CompressorContract, EveryOptionMatters) {
  check_every_option_matters(plugin_, GetParam(),
                             [this](const OptionValues& values) { return observe(values); });
}

TEST_P(CompressorContract, ValuesOutsideOfDocumentedBoundsAreRefused) {
  check_bounds_are_enforced(plugin_);
}

}  // namespace qtk::testing
