// timing.json and link.json: what the simulator reads of measurements.
#include "base/atomic_file.hpp"
#include "dist/simulation/link_file.hpp"
#include "dist/simulation/timing_file.hpp"
#include "temporary_folder.hpp"

#include <qtk/runtime/error.hpp>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace qtk::dist {
namespace {

using nlohmann::json;

json timing() {
  return {{"stages",
           {{{"forward_s", 0.02}, {"backward_s", 0.04}, {"encode_forward_s", 0.001}},
            {{"forward_s", 0.04}, {"backward_s", 0.08}, {"decode_forward_s", 0.003}}}},
          {"forward_bytes", 36864},
          {"backward_bytes", 147456},
          {"micro_batches", 8},
          {"schedule", "1f1b"},
          {"replicas", 1},
          {"step_s", 1.23}};
}

class MeasuredFiles : public testing::Test {
 protected:
  std::filesystem::path write(const json& content) const {
    write_file_atomically(folder_ / "f.json", content.dump());
    return folder_ / "f.json";
  }
  std::string sentence_of(const json& content) const {
    try {
      read_timing_file(write(content));
    } catch (const DataError& error) {
      return error.what();
    }
    return "";
  }
  TemporaryFolder folder_;
};

TEST_F(MeasuredFiles, TimingsAreRead) {
  const auto found = read_timing_file(write(timing()));

  ASSERT_EQ(found.stages.size(), 2);
  EXPECT_EQ(found.stages[1].forward_s, 0.04);
  EXPECT_EQ(found.stages[0].encode_forward_s, 0.001);
  EXPECT_EQ(found.stages[1].encode_forward_s, 0);
  EXPECT_EQ(found.backward_bytes, 147456);
  EXPECT_EQ(found.schedule, "1f1b");
  EXPECT_EQ(found.step_s, 1.23);
}

TEST_F(MeasuredFiles, TimingsOfOtherStagesAreSpreadEvenly) {
  const auto found = read_timing_file(write(timing()));

  const auto stages = stages_of(found.stages, 4);

  ASSERT_EQ(stages.size(), 4);
  EXPECT_DOUBLE_EQ(stages[3].forward_s, 0.06 / 4);
  EXPECT_DOUBLE_EQ(stages[3].backward_s, 0.12 / 4);
  EXPECT_DOUBLE_EQ(stages[0].decode_forward_s, 0.003);  // a message costs what it did
  EXPECT_DOUBLE_EQ(stages_of(found.stages, 2)[1].forward_s, 0.04);
}

TEST_F(MeasuredFiles, ProcessorTimesAreRead) {
  auto content = timing();
  content["stages"][0]["cpu"] = {
      {"forward_s", 0.01},   {"backward_s", 0.02}, {"encode_forward_s", 0.5},
      {"optimizer_s", 0.03}, {"step_s", 6},        {"own_step_s", 5}};
  content["stages"][1]["cpu"] = {{"forward_s", 0.02},
                                 {"backward_s", 0.03},
                                 {"optimizer_s", 0.03},
                                 {"step_s", 3},
                                 {"kernel_s", 0.25}};

  const auto found = read_timing_file(write(content));

  ASSERT_EQ(found.core_stages.size(), 2);
  EXPECT_EQ(found.core_stages[0].forward_s, 0.01);
  EXPECT_EQ(found.stages[0].forward_s, 0.02);
  // What is left of the thread's own 5 s after 8 micro-batches.
  EXPECT_NEAR(found.core_stages[0].optimizer_s, 5 - 8 * (0.01 + 0.02 + 0.5), 1e-12);
  // Where several threads compute, all that is left is for messages.
  EXPECT_NEAR(found.core_stages[1].optimizer_s, 0.03, 1e-12);
  const double messages_s = 1 + (3 - 8 * 0.05 - 0.03) + 0.25;
  EXPECT_NEAR(found.message_core_s_per_byte, messages_s / (2 * 8 * (36864 + 147456)), 1e-15);
}

TEST_F(MeasuredFiles, ProcessorTimesOfAllStagesOrNone) {
  auto content = timing();
  content["stages"][0]["cpu"] = {{"forward_s", 0.01}, {"backward_s", 0.02}, {"step_s", 6}};
  EXPECT_TRUE(read_timing_file(write(content)).core_stages.empty());
  EXPECT_TRUE(read_timing_file(write(timing())).core_stages.empty());
  content["stages"][1]["cpu"] = {{"forward_s", 0.01}, {"backward_s", 0.02}};
  EXPECT_NE(sentence_of(content).find("stages[1].cpu: 'step_s' is missing"), std::string::npos);
}

TEST_F(MeasuredFiles, AFaultyTimingIsNamed) {
  auto faulty = timing();
  faulty["stages"][1]["backward_s"] = -1;
  EXPECT_NE(sentence_of(faulty).find("stages[1]: 'backward_s' is -1"), std::string::npos);
  faulty = timing();
  faulty.erase("forward_bytes");
  EXPECT_NE(sentence_of(faulty).find("'forward_bytes' is missing"), std::string::npos);
  EXPECT_NE(sentence_of({{"stages", 7}}).find("'stages' is no list"), std::string::npos);
  EXPECT_NE(sentence_of(json::array()).find("'stages' is no list"), std::string::npos);
}

TEST_F(MeasuredFiles, LinksReadBackAsTheyWereWritten) {
  const std::vector<LinkFigures> pairs = {{.from = 0,
                                           .to = 1,
                                           .round_trip_s = 2e-4,
                                           .overhead_s = 2e-5,
                                           .latency_s = 8e-5,
                                           .rate_bits_s = 1e9,
                                           .both_ways_bits_s = 9e8,
                                           .send_cpu_s_per_byte = 1e-10,
                                           .receive_cpu_s_per_byte = 2e-10,
                                           .samples = {{65536, 6e-4, 7e-4}}},
                                          {.from = 1,
                                           .to = 2,
                                           .overhead_s = 1e-5,
                                           .latency_s = 9e-5,
                                           .rate_bits_s = 5e8,
                                           .both_ways_bits_s = 5e8}};

  const auto found = read_link_file(write(link_json(pairs)));
  const auto slowest = slowest_link(found);

  ASSERT_EQ(found.size(), 2);
  EXPECT_EQ(found[0].round_trip_s, 2e-4);
  EXPECT_EQ(found[1].to, 2);
  ASSERT_EQ(found[0].samples.size(), 1);
  EXPECT_EQ(found[0].samples[0].bytes, 65536);
  EXPECT_EQ(found[0].samples[0].both_ways_s, 7e-4);
  EXPECT_EQ(slowest.rate_bits_s, 5e8);
  EXPECT_EQ(slowest.latency_s, 9e-5);
  EXPECT_EQ(slowest.overhead_s, 2e-5);
  EXPECT_EQ(slowest.receive_cpu_s_per_byte, 2e-10);
}

TEST_F(MeasuredFiles, AFileWithoutLinksIsRefused) {
  EXPECT_THROW(read_link_file(write(timing())), DataError);
  EXPECT_THROW(read_link_file(write({{"format", "qtk-link"}, {"pairs", json::array()}})),
               DataError);
}

}  // namespace
}  // namespace qtk::dist
