#include "report/event_file.hpp"

#include "base/crc32c.hpp"
#include "temporary_folder.hpp"

#include <qtk/runtime/error.hpp>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iterator>
#include <vector>

namespace qtk::report {
namespace {

namespace fs = std::filesystem;

std::string bytes_in(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string golden(const std::string& name) {
  return bytes_in(fs::path(QTK_SOURCE_DIR) / "tests/golden/report" / name);
}

/// The events of a file whose lengths and checksums hold.
std::vector<std::string> events_of(const std::string& bytes) {
  std::vector<std::string> events;
  for (size_t at = 0; at < bytes.size();) {
    uint64_t length = 0;
    std::memcpy(&length, bytes.data() + at, sizeof length);
    events.push_back(bytes.substr(at + 12, length));
    EXPECT_EQ(bytes.substr(at, length + 16), record_of(events.back()));
    at += length + 16;
  }
  return events;
}

std::vector<std::string> without_version(std::vector<std::string> events) {
  EXPECT_NE(events.at(0).find("brain.Event:2"), std::string::npos);
  events.erase(events.begin());
  return events;
}

TEST(Crc32c, IsThatOfOtherImplementations) {
  const auto expected = nlohmann::json::parse(golden("crc32c.json"));
  ASSERT_EQ(expected.size(), 5u);
  for (const auto& [text, crc] : expected.items()) {
    char hex[16];
    std::snprintf(hex, sizeof hex, "%08x", crc32c(text));
    EXPECT_EQ(hex, crc.get<std::string>()) << text;
  }
}

TEST(EventFile, WritesTheBytesThatTensorBoardWrites) {
  std::string file = record_of(version_event(1764000000.0));
  const struct {
    std::string tag;
    int64_t step;
    double wall_time;
    float value;
  } scalars[] = {{"train/loss", 0, 1764000000.0, 0.0f},
                 {"train/loss", 1, 1764000000.25, 3.1415927f},
                 {"learning_rate", 127, 1764000001.5, 5e-5f},
                 {"learning_rate", 128, 1764000002.5, -1.5f},
                 {"gap", 16384, 1764000003.0, HUGE_VALF},
                 {"gap", int64_t{1} << 40, 1764000004.0, std::nanf("")},
                 {"tokens/s \u00b5", 3, 1764000005.0, 1e30f},
                 {std::string(200, 'x'), 4, 1764000006.0, 1.0f}};
  for (const auto& s : scalars)
    file += record_of(scalar_event(s.tag, s.step, s.wall_time, s.value));
  file += record_of(restart_event(300, 1764000007.0));

  EXPECT_EQ(file, golden("scalars.tfevents"));
}

TEST(EventFile, HoldsWhatWasAddedOnceItIsFlushed) {
  const TemporaryFolder folder;
  EventFile file(folder / "tensorboard");
  file.add_scalar("loss", 5, 1764000000.0, 2.5);
  file.flush();

  EXPECT_TRUE(file.path().filename().string().starts_with("events.out.tfevents.1"));
  EXPECT_EQ(without_version(events_of(bytes_in(file.path()))),
            (std::vector{scalar_event("loss", 5, 1764000000.0, 2.5f)}));
}

TEST(EventFile, NeverShowsHalfARecord) {
  const TemporaryFolder folder;
  EventFile file(folder.path());
  for (int step = 0; step < 2000; ++step) {
    file.add_scalar("loss", step, 1764000000.0, step);
    if (step % 97 == 0) events_of(bytes_in(file.path()));
  }
  file.flush();
  EXPECT_EQ(events_of(bytes_in(file.path())).size(), 2001u);
}

TEST(EventFile, AResumedRunAddsAFileThatHidesTheStepsDoneAgain) {
  const TemporaryFolder folder;
  fs::path first_path;
  std::string before;
  {
    EventFile first(folder.path());
    first.add_scalar("loss", 7, 1764000000.0, 1);
    first.flush();
    first_path = first.path();
    before = bytes_in(first_path);
  }
  EventFile second(folder.path(), /*first_step=*/5);
  second.flush();

  EXPECT_NE(second.path(), first_path);
  EXPECT_EQ(bytes_in(first_path), before);
  const auto events = without_version(events_of(bytes_in(second.path())));
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].substr(9), restart_event(5, 0).substr(9));  // after the time
}

TEST(EventFile, TakesTheNumbersOfARowOfMetrics) {
  const TemporaryFolder folder;
  EventFile file(folder.path());
  file.add_row(nlohmann::json::parse(R"({"step": 3, "time": 1764000000.5, "loss": 2.25,
                                         "phase": "anneal", "gap": null, "tokens": 4096})"));
  file.flush();

  EXPECT_EQ(without_version(events_of(bytes_in(file.path()))),
            (std::vector{scalar_event("loss", 3, 1764000000.5, 2.25f),
                         scalar_event("tokens", 3, 1764000000.5, 4096.0f)}));
  for (const char* row : {"[1]", "{}", "{\"step\": \"3\", \"time\": 1}"})
    EXPECT_THROW(file.add_row(nlohmann::json::parse(row)), DataError) << row;
}

TEST(EventFile, ARowWithoutATimeIsOfNow) {
  const TemporaryFolder folder;
  EventFile file(folder.path());
  const auto before = std::time(nullptr);
  file.add_row({{"step", 3}, {"loss", 2.25}});
  file.flush();

  const auto events = without_version(events_of(bytes_in(file.path())));
  double time = 0;
  ASSERT_EQ(events.size(), 1u);
  std::memcpy(&time, events[0].data() + 1, sizeof time);
  EXPECT_NEAR(time, static_cast<double>(before), 60);
}

TEST(EventFile, SaysWhereItCannotWrite) {
  const TemporaryFolder folder;
  std::ofstream(folder / "taken") << "x";

  try {
    EventFile file(folder / "taken");
    FAIL() << "no error";
  } catch (const IoError& error) {
    EXPECT_NE(std::string(error.what()).find("taken/events.out.tfevents."), std::string::npos);
  }
}

}  // namespace
}  // namespace qtk::report
