// Runs killed at random moments end as if nothing had happened.
#include "base/logging.hpp"
#include "kill_run.hpp"
#include "run_fixture.hpp"

#include <random>

namespace qtk::stage {
namespace {

TEST_F(RunTest, KilledAnywhereItEndsAsIfUndisturbed) {
  auto undisturbed = request();
  undisturbed.folder = scratch_ / "undisturbed";
  const auto start = std::chrono::steady_clock::now();
  run(undisturbed);
  const auto whole = std::chrono::duration_cast<std::chrono::microseconds>(
      std::chrono::steady_clock::now() - start);
  std::mt19937 random(5);
  const auto some_of = [&](double from, double to) {
    const double share = std::uniform_real_distribution<double>(from, to)(random);
    return std::chrono::microseconds(
        static_cast<int64_t>(share * static_cast<double>(whole.count())));
  };
  int killed = 0;
  for (int repetition = 0; repetition < 20; ++repetition) {
    SCOPED_TRACE(repetition);
    fs::remove_all(folder_);
    killed += run_and_kill(request(), some_of(0.02, 1.0));
    if (repetition % 2 == 1) killed += run_and_kill(request(), some_of(0.02, 0.4));

    run_again();

    EXPECT_TRUE(leftovers_in(folder_).empty());
    for (const char* part : {"model", "artifacts"}) {
      auto expected = contents_of(*undisturbed.folder / part), found = contents_of(folder_ / part);
      EXPECT_TRUE(found == expected) << part;
    }
    for (const char* name : {"eval/base.json", "eval/w4.json", "eval/w2.json"})
      EXPECT_EQ(without_speed(read_json(name)),
                without_speed(tiny::json::parse(bytes_in(*undisturbed.folder / name))));
    EXPECT_EQ(read_json("status.json")["state"], "finished");
  }
  EXPECT_GE(killed, 10);  // else the delays say nothing
}

}  // namespace
}  // namespace qtk::stage
