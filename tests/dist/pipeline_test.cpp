#include "dist/pipeline.hpp"

#include "link_fixtures.hpp"
#include "ranks.hpp"

#include <torch/csrc/autograd/autograd.h>

namespace qtk::dist {
namespace {

constexpr int64_t kWidth = 6;
constexpr int64_t kLayers = 4;
const TensorSpec kPassedSpec = {.shape = {2, 3, kWidth}, .dtype = at::kFloat};

at::Tensor pattern(at::IntArrayRef shape, double seed) {
  const int64_t size = c10::multiply_integers(shape);
  return at::sin(at::arange(size, at::kFloat) * 1.7 + seed).mul(0.5).view(shape);
}
at::Tensor data_of(int64_t micro_batch) {
  return pattern(kPassedSpec.shape, 100 + static_cast<double>(micro_batch));
}
at::Tensor target_of(int64_t micro_batch) {
  return pattern(kPassedSpec.shape, 200 + static_cast<double>(micro_batch));
}

/// Layers [begin, end) of tanh(x W_i + b_i), and the loss at the end.
class Layers final : public StageModel {
 public:
  Layers(int64_t begin, int64_t end, bool has_loss) : is_empty_(begin == end), has_loss_(has_loss) {
    for (int64_t i = begin; i < end; ++i) {
      weights.push_back(pattern({kWidth, kWidth}, static_cast<double>(i)).requires_grad_());
      biases.push_back(pattern({kWidth}, 50 + static_cast<double>(i)).requires_grad_());
    }
  }
  at::Tensor forward(int64_t micro_batch, const at::Tensor& input) override {
    at::Tensor x = input.defined() ? input : data_of(micro_batch);
    for (size_t i = 0; i < weights.size(); ++i) x = at::tanh(at::linear(x, weights[i], biases[i]));
    if (is_empty_) x = x.view_as(x);
    return has_loss_ ? (x - target_of(micro_batch)).square().sum() : x;
  }
  std::vector<at::Tensor> weights, biases;

 private:
  const bool is_empty_, has_loss_;
};

/// One process: all micro-batches in order.
Layers alone(int64_t micro_batches) {
  Layers model(0, kLayers, true);
  for (int64_t i = 0; i < micro_batches; ++i) torch::autograd::backward({model.forward(i, {})}, {});
  return model;
}

/// The whole model cut so that stage p begins at layer `begins[p]`.
class Cut {
 public:
  explicit Cut(std::vector<int64_t> begins) : begins_(std::move(begins)) {}
  int stages() const { return static_cast<int>(begins_.size()); }
  int64_t begin(int stage) const { return begins_[static_cast<size_t>(stage)]; }
  int64_t end(int stage) const { return stage + 1 == stages() ? kLayers : begin(stage + 1); }

 private:
  std::vector<int64_t> begins_;
};

StepPlan plan_of(int64_t micro_batches, bool is_warmup = false) {
  return {.step = 0,
          .micro_batches = micro_batches,
          .is_warmup = is_warmup,
          .samples = [](int64_t micro_batch) {
            return std::vector<int64_t>{2 * micro_batch, 2 * micro_batch + 1};
          }};
}

/// One stage with compressors of one kind at all its ends.
template <class Kind>
struct StageAtWork {
  StageAtWork(World& world, ScheduleKind schedule, bool has_hash = false)
      : timeline(world.mesh().rank, c10::kCPU, false),
        pipeline(world.mesh(), schedule, world.forward(), world.backward(),
                 links_of(world.mesh(), has_hash), timeline,
                 [this](const std::string& operation) { begun.push_back(operation); }) {}
  PipelineLinks links_of(const Mesh& mesh, bool has_hash) {
    return {.spec = kPassedSpec,
            .forward_out = mesh.is_last() ? nullptr : &forward_out,
            .forward_in = mesh.is_first() ? nullptr : &forward_in,
            .backward_out = mesh.is_first() ? nullptr : &backward_out,
            .backward_in = mesh.is_last() ? nullptr : &backward_in,
            .has_hash = has_hash,
            .shape = {}};
  }
  Kind forward_out, forward_in, backward_out, backward_in;
  Timeline timeline;
  std::vector<std::string> begun;
  Pipeline pipeline;
};

void expect_gradients(const Layers& stage, const Layers& whole, int64_t begin) {
  for (size_t i = 0; i < stage.weights.size(); ++i) {
    const size_t j = i + static_cast<size_t>(begin);
    EXPECT_TRUE(at::equal(stage.weights[i].grad(), whole.weights[j].grad())) << "layer " << j;
    EXPECT_TRUE(at::equal(stage.biases[i].grad(), whole.biases[j].grad())) << "layer " << j;
  }
}

void expect_gradients_of_one_process(const Cut& cut) {
  const Ranks ranks(1, cut.stages());
  const std::vector<int64_t> sizes = {1, 3, 5};
  std::vector<Layers> wholes;
  for (const int64_t micro_batches : sizes) wholes.push_back(alone(micro_batches));
  ranks.run([&](World& world) {
    const int stage = world.mesh().stage();
    for (const auto schedule : {ScheduleKind::kGpipe, ScheduleKind::k1f1b}) {
      StageAtWork<Raw> work(world, schedule);
      for (size_t i = 0; i < sizes.size(); ++i) {
        SCOPED_TRACE(::testing::Message()
                     << "stage " << stage << ", " << sizes[i] << " micro-batches");
        Layers model(cut.begin(stage), cut.end(stage), world.mesh().is_last());
        work.pipeline.run(model, plan_of(sizes[i]));
        expect_gradients(model, wholes[i], cut.begin(stage));
      }
      const int64_t bytes = 9 * Raw().wire_bytes(kPassedSpec);
      EXPECT_EQ(work.pipeline.forward_bytes(), world.mesh().is_last() ? 0 : bytes);
      EXPECT_EQ(work.pipeline.backward_bytes(), world.mesh().is_first() ? 0 : bytes);
    }
  });
}

TEST(PipelineTest, OneStageComputesTheGradientsOfOneProcess) {
  expect_gradients_of_one_process(Cut({0}));
}
TEST(PipelineTest, TwoStagesComputeTheGradientsOfOneProcess) {
  expect_gradients_of_one_process(Cut({0, 1}));
}
TEST(PipelineTest, ThreeStagesComputeTheGradientsOfOneProcess) {
  expect_gradients_of_one_process(Cut({0, 1, 3}));
}
TEST(PipelineTest, MoreStagesThanMicroBatchesComputeTheGradientsOfOneProcess) {
  expect_gradients_of_one_process(Cut({0, 1, 2, 3}));
}
TEST(PipelineTest, StagesWithoutLayersPassOnWhatTheyGot) {
  expect_gradients_of_one_process(Cut({0, 2, 2}));
  expect_gradients_of_one_process(Cut({0, 3, 3, 4}));
}

TEST(PipelineTest, ActivationsAndGradientsAreThoseThatTheCompressorsLeave) {
  const Ranks ranks(1, 2);
  ranks.run([](World& world) {
    StageAtWork<Eighths> work(world, ScheduleKind::k1f1b, /*has_hash=*/true);
    const int stage = world.mesh().stage();
    Layers model(2 * stage, 2 * stage + 2, stage == 1);
    work.pipeline.run(model, plan_of(2));

    // Straight through: what was received is a leaf, what came back is the gradient of what was
    // sent before it was compressed.
    Layers first(0, 2, false), second(2, 4, true);
    for (int64_t i = 0; i < 2; ++i) {
      const at::Tensor sent = first.forward(i, {});
      const at::Tensor leaf = to_eighths(sent.detach()).requires_grad_();
      torch::autograd::backward({second.forward(i, leaf)}, {});
      torch::autograd::backward({sent}, {to_eighths(leaf.grad())});
    }
    expect_gradients(model, stage == 0 ? first : second, 0);
  });
}

TEST(PipelineTest, AWarmUpIsExact) {
  const Ranks ranks(1, 2);
  const Layers whole = alone(3);
  ranks.run([&](World& world) {
    StageAtWork<Eighths> work(world, ScheduleKind::kGpipe);
    const int stage = world.mesh().stage();
    Layers model(2 * stage, 2 * stage + 2, stage == 1);
    work.pipeline.run(model, plan_of(3, /*is_warmup=*/true));
    expect_gradients(model, whole, 2 * stage);
  });
}

TEST(PipelineTest, AFirstStageMayHaveNothingToTrain) {
  const Ranks ranks(1, 2);
  const Layers whole = alone(3);
  ranks.run([&](World& world) {
    StageAtWork<Raw> work(world, ScheduleKind::k1f1b);
    const int stage = world.mesh().stage();
    Layers model(2 * stage, 2 * stage + 2, stage == 1);
    if (stage == 0)
      for (auto* tensors : {&model.weights, &model.biases})
        for (auto& tensor : *tensors) tensor.requires_grad_(false);

    work.pipeline.run(model, plan_of(3));

    if (stage == 1)
      expect_gradients(model, whole, 2);
    else
      EXPECT_FALSE(model.weights[0].grad().defined());
  });
}

TEST(PipelineTest, EveryOperationIsAnnouncedInTheOrderOfTheSchedule) {
  const Ranks ranks(1, 2);
  ranks.run([](World& world) {
    StageAtWork<Raw> work(world, ScheduleKind::k1f1b);
    const int stage = world.mesh().stage();
    Layers model(2 * stage, 2 * stage + 2, stage == 1);
    work.pipeline.run(model, plan_of(2));
    const std::string last = "the end of the sends of the step";
    EXPECT_EQ(
        work.begun,
        world.mesh().is_first()
            ? (std::vector<std::string>{"forward micro-batch 0", "forward micro-batch 1",
                                        "backward micro-batch 0", "backward micro-batch 1", last})
            : (std::vector<std::string>{"forward micro-batch 0", "backward micro-batch 0",
                                        "forward micro-batch 1", "backward micro-batch 1", last}));
  });
}

}  // namespace
}  // namespace qtk::dist
