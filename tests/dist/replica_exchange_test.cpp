#include "dist/replica_exchange.hpp"

#include "link_fixtures.hpp"
#include "ranks.hpp"

#include <qtk/testing/memory_state.hpp>

#include <cmath>

namespace qtk::dist {
namespace {

using testing::MemoryState;

constexpr int64_t kChunk = 512 * 256;  // the least that goes through a compressor

/// Gradients of a replica: two tensors, values that no power of two divides.
std::vector<at::Tensor> gradients_of(int replica, int64_t step) {
  const double seed = 10.0 * replica + 3.0 * static_cast<double>(step);
  return {at::sin(at::arange(35, at::kFloat) + seed).view({5, 7}),
          at::cos(at::arange(300'000, at::kFloat) * 0.3 + seed)};
}

at::Tensor flat(const std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> views;
  for (const auto& tensor : tensors) views.push_back(tensor.flatten());
  return at::cat(views);
}

/// The formulas of the header for all replicas at once.
class Reference {
 public:
  explicit Reference(int replicas)
      : replicas_(replicas),
        columns_((300'035 + replicas * kChunk - 1) / (replicas * kChunk) * kChunk),
        worker_(at::zeros({replicas, replicas, columns_})),
        server_(at::zeros({replicas, columns_})) {}

  at::Tensor sum(int64_t step) {
    at::Tensor sums = at::zeros({replicas_, columns_});
    std::vector<at::Tensor> wanted;
    for (int w = 0; w < replicas_; ++w) {
      at::Tensor g = at::zeros({replicas_ * columns_});
      g.narrow(0, 0, 300'035).copy_(flat(gradients_of(w, step)));
      wanted.push_back(g.view({replicas_, columns_}) + worker_[w]);
      worker_[w].copy_(wanted.back() - to_eighths(wanted.back()));
    }
    for (int c = 0; c < replicas_; ++c) {
      at::Tensor a = server_[c].clone();
      for (int w = 0; w < replicas_; ++w) a.add_(to_eighths(wanted[static_cast<size_t>(w)][c]));
      sums[c].copy_(to_eighths(a));
      server_[c].copy_(a - to_eighths(a));
    }
    return sums.flatten().narrow(0, 0, 300'035);
  }

 private:
  const int replicas_;
  const int64_t columns_;
  at::Tensor worker_, server_;
};

TEST(ReplicaExchangeTest, SumsAreExact) {
  for (const int n : {2, 3}) {
    const Ranks ranks(n, 1);
    ranks.run([n](World& world) {
      const double own = world.mesh().replica() + 1;
      const std::vector<at::Tensor> gradients = {at::arange(6, at::kFloat).view({2, 3}) * own,
                                                 at::full({}, own), at::zeros({0}),
                                                 at::full({3}, -own)};
      sum_over_replicas(world.replicas(), gradients);
      const double total = n * (n + 1) / 2;
      EXPECT_TRUE(at::equal(gradients[0], at::arange(6, at::kFloat).view({2, 3}) * total));
      EXPECT_EQ(gradients[1].item<double>(), total);
      EXPECT_TRUE(at::equal(gradients[3], at::full({3}, -total)));
      sum_over_replicas(world.replicas(), {});
    });
  }
}

TEST(ReplicaExchangeTest, TensorsOfMoreThanABucketAreSummedToo) {
  const Ranks ranks(2, 1);
  ranks.run([](World& world) {
    const double own = world.mesh().replica() + 1;
    const std::vector<at::Tensor> gradients = {at::full({7'000'000}, own), at::full({5}, 2 * own),
                                               at::full({6'553'600}, 3 * own)};
    sum_over_replicas(world.replicas(), gradients);
    for (int i = 0; i < 3; ++i)
      EXPECT_TRUE((gradients[static_cast<size_t>(i)] == 3 * (i + 1)).all().item<bool>()) << i;
  });
}

TEST(CompressedSumTest, FollowsItsFormulas) {
  for (const int n : {2, 3}) {
    const Ranks ranks(n, 1);
    Reference reference(n);
    std::vector<at::Tensor> expected;
    for (int64_t step = 0; step < 3; ++step) expected.push_back(reference.sum(step));
    ranks.run([&](World& world) {
      Eighths to_server, to_workers;
      CompressedSum sum(world.replicas(), to_server, to_workers);
      for (int64_t step = 0; step < 3; ++step) {
        const auto gradients = gradients_of(world.mesh().replica(), step);
        sum.sum(gradients, step);
        EXPECT_TRUE(at::equal(flat(gradients), expected[static_cast<size_t>(step)]))
            << n << " replicas, step " << step;
      }
    });
  }
}

TEST(CompressedSumTest, WhatAStepLosesIsSentWithTheNextOne) {
  constexpr int kSteps = 20;
  const Ranks ranks(2, 1);
  const at::Tensor truth = flat(gradients_of(0, 0)) + flat(gradients_of(1, 0));
  ranks.run([&](World& world) {
    Eighths to_server, to_workers;
    CompressedSum sum(world.replicas(), to_server, to_workers);
    at::Tensor total = at::zeros_like(truth);
    for (int step = 0; step < kSteps; ++step) {
      const auto gradients = gradients_of(world.mesh().replica(), 0);
      sum.sum(gradients, step);
      total.add_(flat(gradients));
    }
    // Three roundings of at most 1/16 are on their way at the end, however many steps there were.
    const double error = (total / kSteps - truth).abs().max().item<double>();
    EXPECT_LE(error, 3.0 / 16 / kSteps + 1e-5);
  });
}

TEST(CompressedSumTest, ContinuesFromASavedState) {
  const Ranks ranks(2, 1);
  ranks.run([](World& world) {
    const int own = world.mesh().replica();
    Eighths to_server, to_workers;
    CompressedSum first(world.replicas(), to_server, to_workers);
    MemoryState empty, state;
    first.save(empty);
    EXPECT_TRUE(empty.empty());
    for (int64_t step = 0; step < 2; ++step) first.sum(gradients_of(own, step), step);
    first.save(state);
    EXPECT_GT(state.tensor("worker_error").abs().max().item<double>(), 0);

    CompressedSum second(world.replicas(), to_server, to_workers);
    second.load(state);
    const auto expected = gradients_of(own, 2), found = gradients_of(own, 2);
    first.sum(expected, 2);
    second.sum(found, 2);

    EXPECT_TRUE(at::equal(flat(found), flat(expected)));
  });
}

TEST(CompressedSumTest, AStateOfAnotherNumberOfReplicasBeginsAnew) {
  const Ranks ranks(2, 1);
  ranks.run([](World& world) {
    const int own = world.mesh().replica();
    Eighths to_server, to_workers;
    MemoryState state;
    state.tensor("worker_error", at::ones({3, 2 * kChunk}));
    state.tensor("server_error", at::ones({2 * kChunk}));
    CompressedSum fresh(world.replicas(), to_server, to_workers),
        loaded(world.replicas(), to_server, to_workers);
    loaded.load(state);
    const auto expected = gradients_of(own, 0), found = gradients_of(own, 0);
    fresh.sum(expected, 0);
    loaded.sum(found, 0);

    EXPECT_TRUE(at::equal(flat(found), flat(expected)));
  });
}

TEST(CompressedSumTest, AStepThatIsNotFiniteDoesNotSpoilTheNext) {
  const Ranks ranks(2, 1);
  ranks.run([](World& world) {
    Raw to_server, to_workers;  // shows what it was given, as every compressor must
    CompressedSum sum(world.replicas(), to_server, to_workers);
    for (const float fault : {NAN, INFINITY}) {
      at::Tensor gradient = at::ones({4});
      if (world.mesh().replica() == 1) gradient[2] = fault;
      sum.sum({gradient}, 0);
      EXPECT_FALSE(gradient[2].isfinite().item<bool>());
      gradient.fill_(3);
      sum.sum({gradient}, 1);
      EXPECT_TRUE(at::equal(gradient, at::full({4}, 6.0F))) << gradient;
    }
  });
}

TEST(CompressedSumTest, AStageWithoutLayersExchangesNothing) {
  const Ranks ranks(2, 1);
  ranks.run([](World& world) {
    Eighths to_server, to_workers;
    CompressedSum sum(world.replicas(), to_server, to_workers);
    sum.sum({}, 0);
    EXPECT_TRUE(to_server.micro_batches.empty());
  });
}

}  // namespace
}  // namespace qtk::dist
