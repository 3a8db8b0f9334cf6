// Rows of metrics reach TensorBoard at once, and steps done again replace what was there.
#include "stage/live_scalars.hpp"

#include "stage_fixtures.hpp"

#include <nlohmann/json.hpp>

namespace qtk::stage {
namespace {

TEST(LiveScalars, MakesNothingBeforeTheFirstRow) {
  const TemporaryFolder scratch;
  LiveScalars scalars(scratch / "tensorboard");

  EXPECT_FALSE(fs::exists(scratch / "tensorboard"));
}

TEST(LiveScalars, EveryRowIsThereAtOnce) {
  const TemporaryFolder scratch;
  LiveScalars scalars(scratch.path());
  std::string expected;
  for (int step : {10, 20, 30}) {
    scalars.add({{"step", step}, {"time", 1764000000.0}, {"loss", 2.5}});
    expected += report::record_of(report::scalar_event("loss", step, 1764000000.0, 2.5f));

    const auto files = contents_of(scratch.path());
    ASSERT_EQ(files.size(), 1u);
    EXPECT_TRUE(files.begin()->second.ends_with(expected)) << step;
  }
}

TEST(LiveScalars, AResumedRunHidesTheStepsItDoesAgain) {
  const TemporaryFolder scratch;
  LiveScalars(scratch.path()).add({{"step", 40}, {"loss", 2.5}});
  const auto before = contents_of(scratch.path());

  LiveScalars(scratch.path()).add({{"step", 30}, {"loss", 2.5}});

  auto after = contents_of(scratch.path());
  ASSERT_EQ(after.size(), 2u);
  for (const auto& [name, content] : before) {
    EXPECT_EQ(after.at(name), content);
    after.erase(name);
  }
  const auto restart = report::restart_event(30, 0).substr(9);  // after the time
  EXPECT_NE(after.begin()->second.find(restart), std::string::npos);
}

}  // namespace
}  // namespace qtk::stage
