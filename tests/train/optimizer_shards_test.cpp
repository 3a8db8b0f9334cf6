#include "train/optimizer_shards.hpp"

#include "default_context.hpp"
#include "dist/ranks.hpp"
#include "train/checkpoint.hpp"
#include "train/sliced_reader.hpp"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

namespace qtk::train {
namespace {

using dist::Ranks;
using dist::World;

at::Tensor pattern(at::IntArrayRef shape, double seed) {
  return at::sin(at::arange(c10::multiply_integers(shape), at::kFloat) * 0.7 + seed).view(shape);
}

/// Tensors of many sizes and two groups; with three replicas a part begins and ends inside of them.
std::vector<OptimizedTensor> some_tensors() {
  const AdamWSettings decayed{.lr = 0.1, .eps = 1e-3, .weight_decay = 0.2}, plain{.lr = 0.05};
  return {{"a", pattern({5, 7}, 1).requires_grad_(), nullptr, decayed},
          {"b", pattern({1}, 2).requires_grad_(), nullptr, plain},
          {"c", pattern({2}, 3).requires_grad_(), nullptr, decayed},
          {"d", pattern({41}, 4).requires_grad_(), nullptr, plain},
          {"e", pattern({3, 2, 4}, 5).requires_grad_(), nullptr, decayed}};
}

void set_gradients(const std::vector<OptimizedTensor>& tensors, int step) {
  for (size_t i = 0; i < tensors.size(); ++i) {
    // A layer may get no gradient at all.
    auto& gradient = at::Tensor(tensors[i].leaf).mutable_grad();
    if (i == 1 && step == 1)
      gradient.reset();
    else
      gradient = pattern(tensors[i].leaf.sizes(), 10.0 * static_cast<double>(i) + step);
  }
}

void do_step(AdamW& optimizer, int step) { optimizer.step(1.0, at::zeros({}), step); }

std::vector<at::Tensor> values_after(int steps) {
  const auto tensors = some_tensors();
  AdamW optimizer(tensors, default_context());
  for (int step = 0; step < steps; ++step) {
    set_gradients(tensors, step);
    do_step(optimizer, step);
  }
  std::vector<at::Tensor> values;
  for (const auto& tensor : tensors) values.push_back(tensor.leaf.detach());
  return values;
}

/// The fused kernel rounds what does not fill a vector register another way, and a cut moves it.
void expect_values(const std::vector<OptimizedTensor>& found,
                   const std::vector<at::Tensor>& expected) {
  for (size_t i = 0; i < found.size(); ++i)
    EXPECT_TRUE(at::allclose(found[i].leaf.detach(), expected[i], 1e-6, 1e-7)) << found[i].name;
}

/// All replicas must hold the very same values.
void expect_equal_on_all(const std::vector<OptimizedTensor>& tensors, dist::ProcessGroup& group) {
  for (const auto& tensor : tensors) {
    at::Tensor of_the_first = tensor.leaf.detach().clone();
    group.broadcast(of_the_first, 0);
    EXPECT_TRUE(at::equal(of_the_first, tensor.leaf.detach())) << tensor.name;
  }
}

/// Steps begin ... end - 1.
void train(const std::vector<OptimizedTensor>& tensors, OptimizerShards& shards, AdamW& optimizer,
           int begin, int end) {
  for (int step = begin; step < end; ++step) {
    set_gradients(tensors, step);
    shards.bind_gradients();
    do_step(optimizer, step);
    shards.spread_values();
  }
}

TEST(OptimizerShardsTest, SeveralReplicasUpdateAsOneOptimizerDoes) {
  const auto expected = values_after(4);
  for (const int n : {1, 2, 3}) {
    const Ranks ranks(n, 1);
    ranks.run([&](World& world) {
      const auto tensors = some_tensors();
      OptimizerShards shards(tensors, world.replicas());
      AdamW optimizer(shards.own(), default_context());
      train(tensors, shards, optimizer, 0, 4);
      expect_values(tensors, expected);
      expect_equal_on_all(tensors, world.replicas());
    });
  }
}

TEST(OptimizerShardsTest, PartsAreEqualAndMayCrossTensors) {
  const Ranks ranks(3, 1);
  std::vector<std::vector<std::string>> names(3);
  ranks.run([&](World& world) {
    const OptimizerShards shards(some_tensors(), world.replicas());
    for (const auto& tensor : shards.own())
      names[static_cast<size_t>(world.mesh().rank)].push_back(tensor.name);
  });

  EXPECT_EQ(names[0], (std::vector<std::string>{"a[0:35]"}));
  EXPECT_EQ(names[1], (std::vector<std::string>{"b[0:1]", "c[0:2]", "d[0:32]"}));
  EXPECT_EQ(names[2], (std::vector<std::string>{"d[32:41]", "e[0:24]"}));
}

TEST(OptimizerShardsTest, AReplicaMayHaveNothingToUpdate) {
  const Ranks ranks(3, 1);
  ranks.run([](World& world) {
    const std::vector<OptimizedTensor> tensors = {
        {"a", at::ones({2}).requires_grad_(), nullptr, {.lr = 0.5}}};
    OptimizerShards shards(tensors, world.replicas());
    AdamW optimizer(shards.own(), default_context());
    at::Tensor(tensors[0].leaf).mutable_grad() = at::ones({2});
    shards.bind_gradients();
    do_step(optimizer, 0);
    shards.spread_values();
    EXPECT_EQ(shards.own().size(), world.mesh().rank == 2 ? 0u : 1u);
    EXPECT_TRUE(at::allclose(tensors[0].leaf.detach(), at::full({2}, 0.5F)));
  });
}

TEST(OptimizerShardsTest, AStageMayHaveNothingToTrain) {
  const Ranks ranks(2, 1);
  ranks.run([](World& world) {
    OptimizerShards shards({}, world.replicas());
    shards.bind_gradients();
    shards.spread_values();
    EXPECT_TRUE(shards.own().empty());
  });
}

TEST(OptimizerShardsTest, AnotherNumberOfReplicasContinuesFromTheMoments) {
  const auto expected = values_after(4);
  TrainState state;
  std::mutex mutex;
  std::vector<at::Tensor> values;
  const Ranks three(3, 1);
  three.run([&](World& world) {
    const auto tensors = some_tensors();
    OptimizerShards shards(tensors, world.replicas());
    AdamW optimizer(shards.own(), default_context());
    train(tensors, shards, optimizer, 0, 2);
    const std::lock_guard lock(mutex);
    TrainState own;
    ScopedWriter out(own, "optimizer");
    optimizer.save(out);
    state.merge(std::move(own));
    if (world.is_chief())
      for (const auto& tensor : tensors) values.push_back(tensor.leaf.detach());
  });

  for (const int n : {1, 2}) {
    const Ranks others(n, 1);
    others.run([&](World& world) {
      const auto tensors = some_tensors();
      {
        const at::NoGradGuard no_grad;
        for (size_t i = 0; i < tensors.size(); ++i) tensors[i].leaf.copy_(values[i]);
      }
      OptimizerShards shards(tensors, world.replicas());
      AdamW optimizer(shards.own(), default_context());
      SlicedReader in(state, "optimizer");
      optimizer.load(in);
      train(tensors, shards, optimizer, 2, 4);
      expect_values(tensors, expected);
      expect_equal_on_all(tensors, world.replicas());
    });
  }

  const auto tensors = some_tensors();  // one optimizer over whole tensors
  AdamW optimizer(tensors, default_context());
  SlicedReader in(state, "optimizer");
  optimizer.load(in);
  {
    const at::NoGradGuard no_grad;
    for (size_t i = 0; i < tensors.size(); ++i) tensors[i].leaf.copy_(values[i]);
  }
  for (int step = 2; step < 4; ++step) {
    set_gradients(tensors, step);
    do_step(optimizer, step);
  }
  expect_values(tensors, expected);
}

class NoStorage final : public ParamStorage {
 public:
  at::Tensor read() const override { return at::zeros({2}); }
  void write(const at::Tensor&, RandomStream) override {}
};

TEST(OptimizerShardsTest, ATensorWithAStorageOfItsOwnIsRefused) {
  const Ranks ranks(1, 1);
  ranks.run([](World& world) {
    const std::vector<OptimizedTensor> tensors = {
        {"layer.codes", at::zeros({2}).requires_grad_(), std::make_shared<NoStorage>(), {}}};
    EXPECT_EQ(
        dist::sentence_of([&] { OptimizerShards(tensors, world.replicas()); }),
        "parallel.shard_optimizer cannot cut layer.codes, whose quantizer stores it in a form "
        "of its own");
  });
}

}  // namespace
}  // namespace qtk::train
