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

  const auto stages = stages_of(found, 4);

  ASSERT_EQ(stages.size(), 4);
  EXPECT_DOUBLE_EQ(stages[3].forward_s, 0.06 / 4);
  EXPECT_DOUBLE_EQ(stages[3].backward_s, 0.12 / 4);
  EXPECT_DOUBLE_EQ(stages[0].decode_forward_s, 0.003);  // a message costs what it did
  EXPECT_DOUBLE_EQ(stages_of(found, 2)[1].forward_s, 0.04);
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
