#include "config/parallel_config.hpp"

#include "config/emit.hpp"
#include "config/fixture.hpp"

#include <gtest/gtest.h>

namespace qtk::config {
namespace {

// Five lines, so what a test adds begins in line 6.
const std::string kTraining =
    "qtk: 1\nname: run\nmodel: {path: m}\n"
    "data: {train: {files: [t]}}\n"
    "train: {steps: 1, micro_batch: 2, global_batch: 8}\n";

TEST(ParallelConfig, OneProcessIsTheDefault) {
  const RunConfig config = read_run(kTraining).config;

  EXPECT_EQ(config.parallel.world(), 1);
  EXPECT_EQ(config.parallel.schedule, "1f1b");
  EXPECT_EQ(config.parallel.split, "parameters");
  EXPECT_FALSE(config.comm.forward || config.comm.backward || config.comm.data);
  EXPECT_EQ(config.dist.timeouts.missed, 5);
}

const std::string kAllKeys =
    "parallel: {data: 2, pipeline: 3, schedule: gpipe, split: flops, layers: [2, 0, 1], "
    "shard_optimizer: true}\n"
    "comm:\n"
    "  forward: {use: tah, options: {tile_size: 32}}\n"
    "  backward: {use: fixpoint}\n"
    "  data: {use: fixpoint, options: {bits: 6}}\n"
    "  warmup_steps: 4\n"
    "  rate_mbit: 100\n"
    "  burst_bytes: 0\n"
    "  latency_ms: 2.5\n"
    "  checksum: true\n"
    "dist: {interface: eth1, trace: true, timeouts: {heartbeat_s: 0.5, missed: 4, operation_s: 7, "
    "step_factor: 3, step_floor_s: 9, rendezvous_s: 11, grace_s: 13}}\n";

TEST(ParallelConfig, ReadsEveryKey) {
  const Read read = read_run(kTraining + kAllKeys);

  ASSERT_TRUE(read.diagnostics.ok()) << read.diagnostics.text();
  EXPECT_TRUE(read.diagnostics.warnings().empty());
  const auto& [parallel, comm, dist] =
      std::tie(read.config.parallel, read.config.comm, read.config.dist);
  EXPECT_EQ(parallel.world(), 6);
  EXPECT_EQ(parallel.schedule + parallel.split, "gpipeflops");
  EXPECT_EQ(parallel.layers, (std::vector<int64_t>{2, 0, 1}));
  EXPECT_TRUE(parallel.shard_optimizer);
  EXPECT_EQ(comm.forward->use, "tah");
  EXPECT_EQ(comm.forward->options.find("tile_size")->text(), "32");
  EXPECT_EQ(comm.backward->use, "fixpoint");
  EXPECT_EQ(comm.backward->path, "comm.backward");
  EXPECT_EQ(comm.data->options.find("bits")->text(), "6");
  EXPECT_EQ(comm.warmup_steps, 4);
  EXPECT_EQ(comm.rate_mbit, 100);
  EXPECT_EQ(comm.burst_bytes, 0);
  EXPECT_EQ(comm.latency_ms, 2.5);
  EXPECT_TRUE(comm.checksum);
  EXPECT_EQ(dist.interface, "eth1");
  EXPECT_TRUE(dist.trace);
  const auto& t = dist.timeouts;
  EXPECT_EQ((std::vector<double>{t.heartbeat_s, static_cast<double>(t.missed), t.operation_s,
                                 t.step_factor, t.step_floor_s, t.rendezvous_s, t.grace_s}),
            (std::vector<double>{0.5, 4, 7, 3, 9, 11, 13}));
}

TEST(ParallelConfig, IsReproducedByTheResolvedConfiguration) {
  for (const std::string& text :
       {kTraining + kAllKeys, kTraining + "parallel: {pipeline: 2}\n",
        kTraining + "parallel: {data: 2}\ncomm: {warmup_steps: 1}\ndist: {trace: true}\n"}) {
    const Read first = read_run(text);
    ASSERT_TRUE(first.diagnostics.ok()) << first.diagnostics.text();

    const std::string yaml = to_yaml(resolved_node(first.config));
    const Read second = read_run(yaml);

    EXPECT_TRUE(second.diagnostics.ok()) << second.diagnostics.text() << yaml;
    EXPECT_TRUE(second.diagnostics.warnings().empty());
    EXPECT_EQ(to_yaml(resolved_node(second.config)), yaml);
    EXPECT_EQ(second.config.parallel.world(), first.config.parallel.world());
    EXPECT_EQ(second.config.parallel.layers, first.config.parallel.layers);
  }
}

TEST(ParallelConfig, TheResolvedConfigurationOfOneProcessDoesNotSpeakOfOthers) {
  const std::string yaml = to_yaml(resolved_node(read_run(kTraining).config));

  for (const char* section : {"parallel:", "comm:", "dist:"})
    EXPECT_FALSE(contains(yaml, section)) << yaml;
  EXPECT_TRUE(read_run(yaml).diagnostics.warnings().empty());
}

class ParallelConfigFault : public testing::TestWithParam<Fault> {};

TEST_P(ParallelConfigFault, IsReportedAtItsPlace) { expect_only_fault(kTraining, GetParam()); }

INSTANTIATE_TEST_SUITE_P(
    Each, ParallelConfigFault,
    testing::Values(
        Fault{"parallel: {data: 3}\n",
              "`train.global_batch` = 8 is no multiple of parallel.data * train.micro_batch = 6\n  "
              "--> run.yaml:5:49   train.global_batch"},
        Fault{"parallel: {pipeline: 2, layers: [1, 2, 3]}\n",
              "`layers` names 3 stages, but `pipeline` is 2\n  --> run.yaml:6:11   parallel"},
        Fault{"parallel: {pipeline: 2, layers: [1, -2]}\n",
              "`layers` of `parallel` = [1, -2] has -2 as element 1, which is not >= 0\n  --> "
              "run.yaml:6:33   parallel.layers"},
        Fault{"parallel: {pipeline: 0}\n",
              "`pipeline` of `parallel` = 0 is outside [1, 65536]\n  --> run.yaml:6:22   "
              "parallel.pipeline"},
        Fault{"parallel: {data: 0}\n",
              "`data` of `parallel` = 0 is outside [1, 65536]\n  --> run.yaml:6:18   "
              "parallel.data"},
        Fault{"parallel: {pipeline: 2, schedule: zigzag}\n",
              "`schedule` of `parallel` = zigzag is not one of {gpipe, 1f1b}\n  --> run.yaml:6:35  "
              " parallel.schedule"},
        Fault{"parallel: {pipeline: 2, split: even}\n",
              "`split` of `parallel` = even is not one of {parameters, flops}\n  --> "
              "run.yaml:6:32   parallel.split"},
        Fault{"parallel: {pipeline: 2, shard_optimizer: true}\n",
              "`parallel.shard_optimizer` has no effect: there is one replica\n  --> "
              "run.yaml:6:42   parallel.shard_optimizer"},
        Fault{"parallel: {pipeline: 2}\ncomm: {data: {use: fixpoint}}\n",
              "`comm.data` has no effect: there is one replica\n  --> run.yaml:7:14   comm.data"},
        Fault{"parallel: {data: 2}\ncomm: {forward: {use: fixpoint}}\n",
              "`comm.forward` has no effect: there is one pipeline stage\n  --> run.yaml:7:17   "
              "comm.forward"},
        Fault{"parallel: {data: 2}\ncomm: {backward: {use: fixpoint}}\n",
              "`comm.backward` has no effect: there is one pipeline stage\n  --> run.yaml:7:18   "
              "comm.backward"},
        Fault{"parallel: {pipeline: 2}\ncomm: {forward: {options: {}}}\n",
              "`comm.forward` has no `use`\n  --> run.yaml:7:17   comm.forward.use"},
        Fault{"comm: {rate_mbit: -1}\n",
              "`rate_mbit` of `comm` = -1.0 is not >= 0.0\n  --> run.yaml:6:19   comm.rate_mbit"},
        Fault{"comm: {latency_ms: -1}\n",
              "`latency_ms` of `comm` = -1.0 is not >= 0.0\n  --> run.yaml:6:20   "
              "comm.latency_ms"},
        Fault{"comm: {warmup_steps: -1}\n",
              "`warmup_steps` of `comm` = -1 is not >= 0\n  --> run.yaml:6:22   "
              "comm.warmup_steps"},
        Fault{"comm: {fordward: {use: a}}\n",
              "unknown key `fordward` in `comm`\n  --> run.yaml:6:8   comm.fordward"},
        Fault{"dist: {timeouts: {heartbeat_s: 2, missed: 5, operation_s: 10}}\n",
              "a process counts as lost after heartbeat_s * missed = 10.000000 s, not before "
              "operation_s = 10.000000 s\n  --> run.yaml:6:18   dist.timeouts"},
        Fault{"dist: {timeouts: {operation_s: 121}}\n",
              "operation_s = 121.000000 s is longer than rendezvous_s = 120.000000 s\n  --> "
              "run.yaml:6:18   dist.timeouts"},
        Fault{"dist: {timeouts: {missed: 1}}\n",
              "`missed` of `dist.timeouts` = 1 is outside [2, 1000]\n  --> run.yaml:6:27   "
              "dist.timeouts.missed"}));

TEST(ParallelConfig, NeedsATraining) {
  const Read read = read_run("qtk: 1\nname: run\nmodel: {path: m}\nparallel: {pipeline: 2}\n");

  ASSERT_EQ(read.diagnostics.errors().size(), 1u) << read.diagnostics.text();
  EXPECT_EQ(read.diagnostics.errors()[0].message, "`parallel` has no effect: nothing is trained");
}

TEST(ParallelConfig, CannotLearnFromAWholeModel) {
  const Read read = read_run(
      "qtk: 1\nname: run\nmodel: {path: m}\ndata: {train: {files: [t]}}\n"
      "quantizer: {use: a}\n"
      "train: {steps: 1, micro_batch: 2, global_batch: 8, distill: {weight: 0.5}}\n"
      "parallel: {pipeline: 2}\n");

  ASSERT_EQ(read.diagnostics.errors().size(), 1u) << read.diagnostics.text();
  EXPECT_EQ(read.diagnostics.errors()[0].message,
            "`train.distill` needs the whole model in one process");
}

TEST(ParallelConfig, WarnsOfLinksThatOneProcessDoesNotHave) {
  const Read read = read_run(kTraining + "comm: {warmup_steps: 3}\ndist: {trace: true}\n");

  EXPECT_TRUE(read.diagnostics.ok()) << read.diagnostics.text();
  ASSERT_EQ(read.diagnostics.warnings().size(), 2u);
  EXPECT_EQ(read.diagnostics.warnings()[0].message, "`comm` has no effect: there is one process");
  EXPECT_EQ(read.diagnostics.warnings()[1].message, "`dist` has no effect: there is one process");
}

}  // namespace
}  // namespace qtk::config
