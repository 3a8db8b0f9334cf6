#include "dist/timeline.hpp"

#include "base/atomic_file.hpp"
#include "base/processor_time.hpp"
#include "temporary_folder.hpp"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <thread>
#include <utility>
#include <vector>

namespace qtk::dist {
namespace {

using nlohmann::json;

TEST(TimelineTest, TheTraceHasACompleteEventForEveryPieceOfWork) {
  const TemporaryFolder folder;
  Timeline timeline(3, c10::kCPU, /*keeps_trace=*/true);
  for (int lane = 0; lane < kLanes; ++lane)
    static_cast<void>(timeline.span(static_cast<Lane>(lane), "work", lane));
  timeline.add(Lane::kOptimizerStep, "opt", 0.25);
  timeline.note_duration(Lane::kOptimizerStep, "whole step", 1);

  timeline.write(folder / "trace.json");

  const json rows = json::parse(read_text_file(folder / "trace.json"));
  ASSERT_EQ(rows.size(), 10u);
  std::vector<std::pair<std::string, std::string>> works;
  double last = 0;
  for (const auto& row : rows) {
    EXPECT_EQ(row.at("ph"), "X");
    EXPECT_EQ(row.at("pid"), 3);
    EXPECT_GE(row.at("dur").get<double>(), 0);
    EXPECT_GT(row.at("ts").get<double>(), 1e15);  // microseconds since the epoch
    works.emplace_back(row.at("tid"), row.at("name"));
    if (works.size() > static_cast<size_t>(kLanes)) continue;
    EXPECT_GE(row.at("ts").get<double>(), last);
    last = row.at("ts").get<double>();
    EXPECT_EQ(row.at("args").at("micro-batch"), static_cast<int>(works.size()) - 1);
  }
  const std::vector<std::pair<std::string, std::string>> expected = {
      {"1. forward-recv", "recv"},       {"2. forward-compute", "comp"},
      {"3. forward-send", "send"},       {"4. backward-recv", "recv"},
      {"5. backward-compute", "comp"},   {"6. backward-send", "send"},
      {"7. optimizer-step", "opt"},      {"7. optimizer-comm", "work"},
      {"8. optimizer-comp", "opt_comp"}, {"7. optimizer-step", "opt"}};
  EXPECT_EQ(works, expected);
  EXPECT_EQ(rows[0].at("args").at("part"), "work");  // of what is a recv as a whole
  EXPECT_DOUBLE_EQ(rows[9].at("dur").get<double>(), 250'000);
  EXPECT_FALSE(rows[9].contains("args"));
}

TEST(TimelineTest, WithoutATraceNothingIsWritten) {
  const TemporaryFolder folder;
  Timeline timeline(0, c10::kCPU, /*keeps_trace=*/false);
  timeline.add(Lane::kForwardCompute, "compute", 1);

  timeline.write(folder / "trace.json");

  EXPECT_FALSE(std::filesystem::exists(folder / "trace.json"));
}

TEST(TimelineTest, MediansAndMeansAreOfOneLaneAndName) {
  Timeline timeline(0, c10::kCPU, /*keeps_trace=*/false);
  for (const double seconds : {5.0, 1.0, 2.0}) timeline.add(Lane::kForwardSend, "encode", seconds);
  timeline.add(Lane::kForwardSend, "transfer", 7);
  timeline.note_duration(Lane::kBackwardSend, "encode", 9);

  EXPECT_DOUBLE_EQ(timeline.median(Lane::kForwardSend, "encode"), 2);
  EXPECT_DOUBLE_EQ(timeline.median(Lane::kForwardSend, "transfer"), 7);
  EXPECT_DOUBLE_EQ(timeline.median(Lane::kBackwardSend, "encode"), 9);
  EXPECT_EQ(timeline.median(Lane::kBackwardSend, "transfer"), 0);
  EXPECT_DOUBLE_EQ(timeline.mean(Lane::kForwardSend, "encode"), 8.0 / 3);
  EXPECT_EQ(timeline.mean(Lane::kBackwardSend, "transfer"), 0);
  timeline.forget_durations();
  EXPECT_EQ(timeline.mean(Lane::kForwardSend, "encode"), 0);
}

TEST(TimelineTest, WaitingTakesNoProcessorTime) {
  at::set_num_threads(1);
  Timeline timeline(0, c10::kCPU, /*keeps_trace=*/false);
  {
    const auto span = timeline.span(Lane::kForwardReceive, "wait");
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  {
    const auto span = timeline.span(Lane::kForwardCompute, "comp");
    const double start = thread_processor_s();
    while (thread_processor_s() - start < 0.02) continue;
  }

  EXPECT_GE(timeline.mean(Lane::kForwardReceive, "wait"), 0.05);
  EXPECT_LT(timeline.mean_processor_s(Lane::kForwardReceive, "wait"), 0.025);
  EXPECT_GE(timeline.mean_processor_s(Lane::kForwardCompute, "comp"), 0.02);
  EXPECT_LE(timeline.mean_processor_s(Lane::kForwardCompute, "comp"),
            timeline.mean(Lane::kForwardCompute, "comp") + 1e-3);
  EXPECT_TRUE(timeline.has_one_computing_thread());
}

TEST(TimelineTest, OnlyTheLatestDurationsCount) {
  Timeline timeline(0, c10::kCPU, /*keeps_trace=*/false);
  for (int i = 0; i < 600; ++i) timeline.note_duration(Lane::kOptimizerStep, "step", 100);
  for (int i = 0; i < 300; ++i) timeline.note_duration(Lane::kOptimizerStep, "step", 3);

  EXPECT_EQ(timeline.median(Lane::kOptimizerStep, "step"), 3);
}

}  // namespace
}  // namespace qtk::dist
