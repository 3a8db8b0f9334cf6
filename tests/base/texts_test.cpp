#include "base/nearest_name.hpp"
#include "base/progress.hpp"

#include <qtk/runtime/check.hpp>

#include <gtest/gtest.h>

#include <vector>

namespace qtk {
namespace {

TEST(NearestName, FindsTheIntendedNameAndNothingForStrangers) {
  const std::vector<std::string> known{"hestia", "group_size", "bits", "symmetric"};
  const struct {
    const char* written;
    const char* nearest;
  } cases[] = {{"hesita", "hestia"}, {"grup_size", "group_size"},
               {"bit", "bits"},      {"symetric", "symmetric"},
               {"zzzzzz", ""},       {"", ""}};

  for (const auto& [written, nearest] : cases)
    EXPECT_EQ(nearest_name(written, known), nearest) << written;
}

TEST(NearestName, AnEndlessNameCostsNothing) {
  const std::vector<std::string> known{"bits"};

  EXPECT_EQ(nearest_name(std::string(1'000'000, 'b'), known), "");
}

TEST(Texts, DurationsAndSizesReadNaturally) {
  EXPECT_EQ(duration_text(3.21), "3.2 s");
  EXPECT_EQ(duration_text(250), "4 min 10 s");
  EXPECT_EQ(duration_text(7500), "2 h 5 min");
  EXPECT_EQ(size_text(269'000'000), "269.0 MB (256.5 MiB)");
  EXPECT_EQ(size_text(5'000'000'000), "5.00 GB (4.66 GiB)");
}

TEST(Check, NamesValuesAndExpression) {
  try {
    const int rows = 3;
    QTK_CHECK(rows % 2 == 0, "rows must be even, got ", rows);
    FAIL() << "expected an Error";
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what())
                  .find("rows must be even, got 3 [rows % 2 == 0 is false at texts_test.cpp:"),
              0u);
    EXPECT_EQ(error.code(), ExitCode::kFailed);
  }
}

}  // namespace
}  // namespace qtk
