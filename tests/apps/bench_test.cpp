// qtk bench: measurements as people and scripts ask for them.
#include "program_fixture.hpp"

namespace qtk {
namespace {

using BenchProgram = ProgramTest;

json parsed(const Outcome& outcome) {
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  return json::parse(outcome.out, nullptr, /*allow_exceptions=*/false);
}

TEST_F(BenchProgram, EverySubjectExplainsItself) {
  const auto comm = qtk({"bench", "comm", "--help"}), link = qtk({"bench", "link", "--help"});

  EXPECT_EQ(comm.code, 0);
  expect_contains(comm.out, {"Usage: qtk bench comm", "--compare", "--layer"});
  EXPECT_EQ(link.code, 0);
  expect_contains(link.out, {"Usage: qtk launch --nproc N bench link", "--out"});
}

TEST_F(BenchProgram, EveryCompressorIsMeasured) {
  const auto found = parsed(qtk({"bench", "comm", "--shape", "1,8,64", "2,4,128", "--compare",
                                 "fixpoint:bits=4,none:dtype=bf16", "--repeats", "2", "--json"}));

  const json& cases = found["cases"];
  ASSERT_EQ(cases.size(), 2 * 7);  // delta, delta_lowbits, fixpoint, none, tah and two of our own
  for (const auto& entry : cases) {
    EXPECT_FALSE(entry.contains("problem")) << entry;
    for (const char* field : {"bytes", "bits_per_element"}) EXPECT_GT(entry[field], 0) << entry;
    for (const char* time : {"encode", "decode"}) {
      EXPECT_LE(entry[time]["fastest_s"], entry[time]["median_s"]);
      EXPECT_LE(entry[time]["median_s"], entry[time]["slowest_s"]);
    }
    if (entry["compressor"] == "none") {
      EXPECT_EQ(entry["relative_error"], 0);
    } else {
      EXPECT_GT(entry["relative_error"], 0) << entry;
    }
  }
  EXPECT_EQ(cases[5]["compressor"], "fixpoint:bits=4");
  EXPECT_EQ(cases[5]["options"]["bits"], "4");
  EXPECT_EQ(cases[7]["shape"], json::array({2, 4, 128}));
}

TEST_F(BenchProgram, ActivationsOfAModelAreMeasured) {
  const auto found =
      parsed(qtk({"bench", "comm", "--model", inputs_.text("model"), "--text",
                  inputs_.text("text.txt"), "--layer", "2", "--shape", "2,16,64", "--only",
                  "fixpoint", "--repeats", "1", "--dtype", "bf16", "--json"}));

  ASSERT_EQ(found["cases"].size(), 1);
  const std::string data = found["cases"][0]["data"];
  expect_contains(data, {"activations after layer 2 of", "times as large as the median one"});
}

TEST_F(BenchProgram, TheTableNamesDataAndUnits) {
  const auto outcome =
      qtk({"bench", "comm", "--shape", "1,8,64", "--only", "fixpoint", "--repeats", "1"});

  EXPECT_EQ(outcome.code, 0) << outcome.err;
  expect_contains(outcome.out, {"[1, 8, 64]", "outlier channels 17 times 20", "bits/elem",
                                "encode ms (range)", "\nfixpoint "});
}

TEST_F(BenchProgram, LinksAreMeasuredForTheSimulator) {
  const auto found = parsed(qtk({"launch", "--nproc", "3", "bench", "link", "--largest-mib", "1",
                                 "--repeats", "1", "--json", "--out", here("link.json"), "-q"}));

  ASSERT_EQ(found["pairs"].size(), 2);
  for (const auto& pair : found["pairs"]) {
    EXPECT_EQ(pair["to"], pair["from"].get<int>() + 1);
    ASSERT_EQ(pair["samples"].size(), 3);  // 64 KiB, 256 KiB, 1 MiB
    for (const auto& sample : pair["samples"]) {
      EXPECT_GT(sample["one_way_s"], 0);
      EXPECT_GT(sample["both_ways_s"], 0);
    }
    for (const char* figure : {"round_trip_s", "rate_bits_s", "send_cpu_s_per_byte"})
      EXPECT_GT(pair[figure], 0) << figure;
  }
  EXPECT_EQ(json::parse(file_content(here("link.json"))), found);
}

TEST_F(BenchProgram, WordsThatAreNoneAreRefused) {
  const std::vector<Refused> cases = {
      {{"bench"}, {"no subject given", "qtk bench comm"}},
      {{"bench", "con"}, {"unknown subject 'con'; did you mean 'comm'?"}},
      {{"bench", "comm", "--only", "fixpiont"}, {"fixpiont", "did you mean 'fixpoint'?"}, 3},
      {{"bench", "comm", "--only", "fixpoint:bitz=4"}, {"bitz", "did you mean `bits`?"}},
      {{"bench", "comm", "--only", "fixpoint:bits=99"}, {"99"}},
      {{"bench", "comm", "--shape", "1,8"}, {"--shape 1,8 is no shape", "B,S,C"}},
      {{"bench", "comm", "--shape", "1,8,0"}, {"--shape 1,8,0 is no shape"}},
      {{"bench", "comm", "--repeats", "0"}, {"--repeats is 0"}},
      {{"bench", "comm", "--dtype", "f99", "--shape", "1,8,64"}, {"unknown dtype 'f99'"}},
      {{"bench", "comm", "--only", "tah", "--shape", "1,4,100"}, {"tile_size", "100"}, 3},
      {{"bench", "comm", "--model", inputs_.text("model"), "--text", inputs_.text("text.txt"),
        "--layer", "3", "--shape", "1,8,64"},
       {"layer 3", "layers 1 to 2"}},
      {{"bench", "comm", "--model", inputs_.text("model"), "--text", inputs_.text("text.txt"),
        "--shape", "1,8,65"},
       {"65 channels", "has 64"}},
      {{"bench", "link"}, {"a link needs two processes", "qtk launch --nproc 2 bench link"}},
      {{"bench", "link", "--repeats", "0"}, {"--repeats"}}};
  expect_refused(cases);
}

}  // namespace
}  // namespace qtk
