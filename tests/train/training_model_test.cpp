// Forms of one step that must give one gradient.
#include "train/training_model.hpp"

#include "../stage/stage_fixtures.hpp"
#include "model/decoder.hpp"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

namespace qtk::train {
namespace {

class TrainingModelTest : public testing::Test {
 protected:
  using Gradients = std::map<std::string, at::Tensor>;

  /// Gradients of four windows, `micro` at a time.
  Gradients gradients(config::TrainSection settings, int64_t micro) {
    const auto decoder = model::Decoder::load(folder_, {.dtype = at::kFloat, .is_writable = true});
    TrainingModel model(*decoder, nullptr, settings);
    const auto ids = (at::arange(4 * 12, at::kLong) * 37).remainder(300).reshape({4, 12});
    for (int64_t at = 0; at < 4; at += micro) {
      const auto rows = ids.narrow(0, at, micro);
      const auto loss = model.loss(rows.slice(1, 0, 11), rows.slice(1, 1), 1.0 / 44);
      torch::autograd::backward({loss.loss}, {});
    }
    Gradients found;
    for (const auto& parameter : decoder->parameters())
      if (parameter.tensor.grad().defined()) found[parameter.name] = parameter.tensor.grad();
    return found;
  }
  static void expect_near(const Gradients& found, const Gradients& expected, double tolerance) {
    ASSERT_EQ(found.size(), expected.size());
    for (const auto& [name, gradient] : expected)
      EXPECT_LE((found.at(name) - gradient).abs().max().item<double>(),
                tolerance * gradient.abs().max().item<double>())
          << name;
  }

  TemporaryFolder scratch_;
  const std::filesystem::path folder_ = tiny::write_model(scratch_ / "model");
};

TEST_F(TrainingModelTest, AccumulationEqualsOneBatch) {
  const auto whole = gradients({}, 4);
  EXPECT_EQ(whole.size(), 3u + 2 * 9);

  expect_near(gradients({}, 1), whole, 1e-5);
  expect_near(gradients({}, 2), whole, 1e-5);
}

TEST_F(TrainingModelTest, ActivationCheckpointingChangesNoBit) {
  config::TrainSection settings;
  const auto plain = gradients(settings, 2);
  settings.activation_checkpointing = true;

  const auto found = gradients(settings, 2);

  ASSERT_EQ(found.size(), plain.size());
  for (const auto& [name, gradient] : plain)
    EXPECT_TRUE(at::equal(found.at(name), gradient)) << name;
}

TEST_F(TrainingModelTest, DecayIsForMatricesAndGroupsHaveTheirOwnSettings) {
  const auto decoder = model::Decoder::load(folder_, {.dtype = at::kFloat, .is_writable = true});
  const config::TrainSection settings;
  const TrainingModel model(*decoder, nullptr, settings);
  config::OptimizerSection optimizer;
  optimizer.weight_decay = 0.1;
  optimizer.groups["rest"].lr = 0.5;

  for (const auto& tensor : model.optimized(optimizer)) {
    EXPECT_EQ(tensor.settings.lr, 0.5);
    EXPECT_EQ(tensor.settings.weight_decay, tensor.leaf.dim() == 1 ? 0 : 0.1) << tensor.name;
  }
}

}  // namespace
}  // namespace qtk::train
