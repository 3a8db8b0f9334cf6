#include "format/strict_json.hpp"

#include "format_fixtures.hpp"

#include <nlohmann/json.hpp>

namespace qtk::format {
namespace {

std::string fault(const std::string& text, const JsonLimits& limits = {}) {
  return message_of([&] { parse_strict_json(text, "test.json", limits); });
}

TEST(StrictJson, GivesTheValuesOfAnOrdinaryDocument) {
  const auto document =
      parse_strict_json(R"({"a": [1, {"b": "x"}], "c": {"a": null}})", "test.json");

  EXPECT_EQ(document["a"][1]["b"], "x");
  EXPECT_TRUE(document["c"]["a"].is_null());
}

TEST(StrictJson, RefusesARepeatedKeyOnlyWithinOneObject) {
  expect_contains(fault(R"({"a": 1, "b": {"c": 1, "c": 2}})"), "test.json has the key 'c' twice");
  expect_contains(fault(R"({"a": {"x": 1}, "a": 2})"), "has the key 'a' twice");

  EXPECT_NO_THROW(
      parse_strict_json(R"([{"a": 1}, {"a": 2}, {"b": {"a": 3}, "a": 4}])", "test.json"));
}

TEST(StrictJson, NamesWhatIsNotJson) {
  expect_contains(fault("{\"a\": }"),
                  "test.json is not valid JSON: parse error at line 1, column 7");
  expect_contains(fault("{} {}"), "is not valid JSON");
  expect_contains(fault(""), "is not valid JSON");
  expect_contains(fault("\"\xff\""), "invalid string: ill-formed UTF-8 byte");
}

TEST(StrictJson, RefusesNulWhichTheParserTakesForTheEnd) {
  expect_contains(fault(std::string("{}\0{", 4)), "test.json has a NUL byte");
  expect_contains(fault(std::string("\"\0\"", 3)), "control character U+0000");
}

TEST(StrictJson, BoundsDepthBeforeParsing) {
  const std::string deep(1'000'000, '[');

  expect_contains(fault(deep), "is nested more than 64 levels deep");
  EXPECT_NO_THROW(parse_strict_json(std::string(64, '[') + std::string(64, ']'), "test.json"));
}

TEST(StrictJson, BoundsStringsNumbersAndCounts) {
  const JsonLimits limits{.depth = 4, .string_bytes = 8, .separators = 3};

  expect_contains(fault("[\"123456789\"]", limits), "has a string of more than 8 bytes");
  expect_contains(fault("[" + std::string(65, '1') + "]", limits),
                  "a number or word of more than 64");
  expect_contains(fault("[1,2,3,4,5]", limits), "has more than 3 keys and values");
  EXPECT_NO_THROW(parse_strict_json("[\"1234567\",2,3,4]", "test.json", limits));
}

TEST(StrictJson, DoesNotCountWhatStandsInsideStrings) {
  const JsonLimits limits{.depth = 1, .string_bytes = 64, .separators = 1};

  EXPECT_NO_THROW(parse_strict_json(R"(["[[[,,,:::{{{\"[[", 1])", "test.json", limits));
}

TEST(StrictJson, CutsLongMessages) {
  const auto text = fault("\"" + std::string(100'000, 'x'));

  EXPECT_LT(text.size(), 400u);
}

}  // namespace
}  // namespace qtk::format
