#include "dist/process_group.hpp"

#include "ranks.hpp"

#include <ATen/ATen.h>

#include <latch>

namespace qtk::dist {
namespace {

at::Tensor filled(double value, int64_t size = 3) { return at::full({size}, value); }

TEST(ProcessGroupTest, MessagesArriveByTagAndThoseOfATagInOrder) {
  const Ranks ranks(1, 2);
  ranks.run([](World& world) {
    ProcessGroup& group = world.forward();
    const std::vector<std::pair<int, double>> sent = {{1, 10}, {2, 20}, {1, 11}, {2, 21}};
    std::vector<at::Tensor> messages;
    std::vector<Pending> pending;
    if (group.position() == 0) {
      for (const auto& [tag, value] : sent) messages.push_back(filled(value));
      for (size_t i = 0; i < sent.size(); ++i)
        pending.push_back(group.send(messages[i], 1, sent[i].first, "message"));
      for (auto& message : pending) message.wait();
      return;
    }
    for (int i = 0; i < 4; ++i) messages.push_back(filled(0));
    const std::vector<std::pair<int, double>> expected = {{2, 20}, {1, 10}, {2, 21}, {1, 11}};
    for (size_t i = 0; i < 4; ++i)
      pending.push_back(group.receive(messages[i], 0, expected[i].first, "message"));
    for (size_t i = 0; i < 4; ++i) {
      pending[i].wait();
      EXPECT_TRUE(at::equal(messages[i], filled(expected[i].second))) << i;
    }
  });
}

TEST(ProcessGroupTest, CollectivesAreThePlainArithmetic) {
  for (const int n : {2, 3}) {
    const Ranks ranks(n, 1);
    ranks.run([n](World& world) {
      ProcessGroup& group = world.replicas();
      const int own = group.position();
      ASSERT_EQ(group.size(), n);
      EXPECT_EQ(own, world.mesh().rank);
      const auto shifted = [](double value) { return at::arange(4, at::kFloat) + value; };

      at::Tensor sum = shifted(own);
      group.all_reduce_sum(sum);
      EXPECT_TRUE(at::equal(sum, n * at::arange(4, at::kFloat) + n * (n - 1) / 2));

      at::Tensor most = at::tensor({static_cast<float>(own), static_cast<float>(-own)});
      group.all_reduce_max(most);
      EXPECT_TRUE(at::equal(most, at::tensor({n - 1.0F, 0.0F})));

      at::Tensor all = at::zeros({4 * n});
      group.all_gather(all, shifted(10 * own));
      for (int i = 0; i < n; ++i) EXPECT_TRUE(at::equal(all.narrow(0, 4 * i, 4), shifted(10 * i)));

      at::Tensor part = at::zeros({4});
      group.reduce_scatter_sum(part, at::arange(4 * n, at::kFloat) * (own + 1));
      EXPECT_TRUE(at::equal(part, shifted(4 * own) * (n * (n + 1) / 2)));

      at::Tensor received = at::zeros({2 * n});
      at::Tensor sent = at::arange(2 * n, at::kFloat) + 100 * own;
      group.all_to_all(received, sent);
      for (int i = 0; i < n; ++i)
        EXPECT_TRUE(
            at::equal(received.narrow(0, 2 * i, 2), at::arange(2, at::kFloat) + 2 * own + 100 * i));

      at::Tensor told = filled(own);
      group.broadcast(told, n - 1);
      EXPECT_TRUE(at::equal(told, filled(n - 1)));
      group.barrier();
    });
  }
}

TEST(ProcessGroupTest, NobodyPassesABarrierBeforeAllAreThere) {
  const Ranks ranks(3, 1);
  std::atomic<int> arrived = 0;
  ranks.run([&](World& world) {
    ++arrived;
    world.everybody().barrier();
    EXPECT_EQ(arrived, 3);
  });
}

TEST(ProcessGroupTest, AGroupOfOneCopies) {
  const Ranks ranks(1, 2);
  ranks.run([](World& world) {
    ProcessGroup& group = world.replicas();
    ASSERT_EQ(group.size(), 1);
    at::Tensor value = filled(2), copy = filled(0);
    group.all_reduce_sum(value);
    group.all_reduce_max(value);
    group.broadcast(value, 0);
    group.barrier();
    EXPECT_TRUE(at::equal(value, filled(2)));
    group.all_gather(copy, value);
    EXPECT_TRUE(at::equal(copy, value));
    group.reduce_scatter_sum(copy, filled(3));
    EXPECT_TRUE(at::equal(copy, filled(3)));
    group.all_to_all(copy, filled(4));
    EXPECT_TRUE(at::equal(copy, filled(4)));
  });
}

TEST(ProcessGroupTest, GroupsAreThoseOfTheMesh) {
  const Ranks ranks(2, 2);
  ranks.run([](World& world) {
    const Mesh& mesh = world.mesh();
    at::Tensor pipeline = filled(mesh.rank), replicas = filled(mesh.rank), all = filled(mesh.rank);
    world.forward().all_reduce_sum(pipeline);
    world.replicas().all_reduce_sum(replicas);
    world.everybody().all_reduce_sum(all);
    EXPECT_TRUE(at::equal(pipeline, filled(mesh.replica() == 0 ? 0 + 1 : 2 + 3)));
    EXPECT_TRUE(at::equal(replicas, filled(mesh.stage() == 0 ? 0 + 2 : 1 + 3)));
    EXPECT_TRUE(at::equal(all, filled(6)));
    EXPECT_EQ(world.ends().position(), mesh.stage());
  });
}

TEST(ProcessGroupTest, AnOperationThatNobodyAnswersEndsAndIsNamed) {
  auto timeouts = patient_timeouts();
  timeouts.operation = Seconds(1.5);
  const Ranks ranks(1, 3, timeouts);
  std::latch is_over(2);

  const auto failures = ranks.try_run([&](World& world) {
    if (world.mesh().rank == 0) {
      // What the others wait for can be read meanwhile.
      const auto reports = [&](const std::string& what) {
        for (int i = 0; i < 120; ++i) {
          if (contains(world.presence().report(), what)) return true;
          std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        return false;
      };
      EXPECT_TRUE(reports("receive forward micro-batch 3 from rank 0 (stage 0)"));
      is_over.wait();
      throw Error("done");  // there is nobody to say good-bye to
    }
    try {
      if (world.mesh().rank == 1) {
        at::Tensor message = filled(0);
        world.forward().receive(message, 0, 3, "forward micro-batch 3").wait();
      } else {
        at::Tensor value = filled(1);
        world.everybody().all_reduce_sum(value);
      }
    } catch (...) {
      is_over.count_down();
      throw;
    }
    is_over.count_down();
  });

  ASSERT_TRUE(failures[1] && failures[2]);
  EXPECT_EQ(failures[1]->code, ExitCode::kPeerLost);
  EXPECT_TRUE(failures[1]->sentence.starts_with(
      "receive forward micro-batch 3 from rank 0 (stage 0) failed: "))
      << failures[1]->sentence;
  EXPECT_EQ(failures[2]->code, ExitCode::kPeerLost);
  EXPECT_TRUE(failures[2]->sentence.starts_with("everybody.all_reduce #1 failed: "))
      << failures[2]->sentence;
}

}  // namespace
}  // namespace qtk::dist
