#include "config/scalar.hpp"

#include <gtest/gtest.h>

namespace qtk::config {
namespace {

Node plain(const std::string& text) { return Node::scalar(text); }
Node quoted(const std::string& text) { return Node::scalar(text, ScalarStyle::kQuoted); }

/// "problem | remedy"
template <class T>
std::string refusal(const Reading<T>& reading) {
  EXPECT_FALSE(reading.value.has_value());
  return reading.problem + " | " + reading.remedy;
}

TEST(ReadInt, TakesDecimalDigitsAndSuffixes) {
  const std::pair<const char*, int64_t> cases[] = {{"0", 0},
                                                   {"7", 7},
                                                   {"-7", -7},
                                                   {"+7", 7},
                                                   {"20M", 20'000'000},
                                                   {"512Ki", 524'288},
                                                   {"-3K", -3000},
                                                   {"2G", 2'000'000'000},
                                                   {"1T", 1'000'000'000'000},
                                                   {"1Mi", 1 << 20},
                                                   {"1Gi", 1 << 30},
                                                   {"1Ti", int64_t{1} << 40},
                                                   {"9223372036854775807", INT64_MAX},
                                                   {"-9223372036854775808", INT64_MIN}};
  for (const auto& [text, value] : cases) EXPECT_EQ(read_int(plain(text)).value, value) << text;
}

TEST(ReadInt, RefusesWhatReadersDisagreeAbout) {
  const std::pair<Node, const char*> cases[] = {
      {plain("010"),
       "is `010`: some readers take a leading zero for an octal number | write it without the zero "
       "in front"},
      {plain("1e3"), "must be an int, found `1e3` | write 1000"},
      {plain("1.0"), "must be an int, found `1.0` | write 1"},
      {plain("1.5"), "must be an int, found `1.5` | write it without fraction and exponent"},
      {plain("1.0K"), "must be an int, found `1.0K` | write 1K"},
      {plain("1e99"), "must be an int, found `1e99` | write it without fraction and exponent"},
      {plain("0x10"), "must be an int, found `0x10` | write a decimal number"},
      {plain("1_000"), "must be an int, found `1_000` | write the digits without `_`"},
      {quoted("4"), "must be an int, found the quoted text \"4\" | remove the quotes"},
      {plain("four"), "must be an int, found `four` | "},
      {plain("true"), "must be an int, found `true` | "},
      {plain(""), "must be an int, found `` | "},
      {plain("-"), "must be an int, found `-` | "},
      {plain("1 2"), "must be an int, found `1 2` | "},
      {plain("5x"),
       "is `5x`: unknown suffix `x` | known: K, M, G, T (powers of 1000), Ki, Mi, Gi, Ti (powers "
       "of 1024)"},
      {plain("10min"), "is `10min`: a duration, but this is no time | write a plain number"},
      {plain("9223372036854775808"), "is `9223372036854775808`: does not fit into 64 bits | "},
      {plain("10000000T"), "is `10000000T`: does not fit into 64 bits | "},
      {Node::sequence(), "must be an int, found a list | "},
      {Node::map(), "must be an int, found a section | "},
      {Node(), "must be an int, found nothing | "}};
  for (const auto& [node, text] : cases) EXPECT_EQ(refusal(read_int(node)), text);
}

TEST(ReadInt, TakesDurationsInSeconds) {
  const std::pair<const char*, int64_t> cases[] = {{"90", 90},   {"90s", 90},   {"10min", 600},
                                                   {"2h", 7200}, {"1d", 86400}, {"3000ms", 3},
                                                   {"1K", 1000}};
  for (const auto& [text, value] : cases)
    EXPECT_EQ(read_int(plain(text), NumberUnit::kSeconds).value, value) << text;
  EXPECT_EQ(refusal(read_int(plain("1500ms"), NumberUnit::kSeconds)),
            "is `1500ms`: no whole number of seconds | ");
  EXPECT_EQ(refusal(read_int(plain("1week"), NumberUnit::kSeconds)),
            "is `1week`: unknown suffix `week` | known: ms, s, min, h, d");
}

TEST(ReadReal, TakesFractionsExponentsAndSuffixes) {
  const std::pair<const char*, double> cases[] = {
      {"1e6", 1e6}, {"5e-5", 5e-5},  {"-0.5", -0.5},  {".5", 0.5},    {"5.", 5},
      {"3", 3},     {"+2E+3", 2000}, {"1.5M", 1.5e6}, {"0.5Ki", 512}, {"0", 0}};
  for (const auto& [text, value] : cases) EXPECT_EQ(read_real(plain(text)).value, value) << text;
  EXPECT_EQ(read_real(plain("1.5min"), NumberUnit::kSeconds).value, 90);
  EXPECT_EQ(read_real(plain("250ms"), NumberUnit::kSeconds).value, 0.25);
}

TEST(ReadReal, RefusesWhatIsNoFiniteNumber) {
  const std::pair<Node, const char*> cases[] = {
      {plain(".inf"), "must be a finite float, found `.inf` | "},
      {plain("-inf"), "must be a finite float, found `-inf` | "},
      {plain("NaN"), "must be a finite float, found `NaN` | "},
      {plain("1e999"), "is `1e999`: does not fit into a 64-bit float | "},
      {plain("1e308K"), "is `1e308K`: does not fit into a 64-bit float | "},
      {plain("00.5"),
       "is `00.5`: some readers take a leading zero for an octal number | write it without the "
       "zero in front"},
      {plain("1,5"), "must be a float, found `1,5` | "},
      {plain("1.2.3"), "must be a float, found `1.2.3` | "},
      {plain("."), "must be a float, found `.` | "},
      {plain("e5"), "must be a float, found `e5` | "},
      {quoted("1.5"), "must be a float, found the quoted text \"1.5\" | remove the quotes"}};
  for (const auto& [node, text] : cases) EXPECT_EQ(refusal(read_real(node)), text);
}

TEST(ReadBool, TakesOnlyTrueAndFalse) {
  EXPECT_EQ(read_bool(plain("true")).value, true);
  EXPECT_EQ(read_bool(plain("false")).value, false);
  for (const char* text : {"yes", "no", "on", "off", "True", "FALSE", "1", "0", "y"})
    EXPECT_EQ(refusal(read_bool(plain(text))),
              "must be a bool, found `" + std::string(text) + "` | write true or false");
  EXPECT_EQ(refusal(read_bool(quoted("true"))),
            "must be a bool, found the quoted text \"true\" | remove the quotes");
}

TEST(ReadText, TakesEverythingButPlainBools) {
  for (const char* text : {"word", "4", "010", "", "a b", "n"})
    EXPECT_EQ(read_text(plain(text)).value, text);
  EXPECT_EQ(read_text(quoted("yes")).value, "yes");
  for (const char* text : {"yes", "NO", "on", "off", "true", "False"})
    EXPECT_EQ(refusal(read_text(plain(text))), "must be a text, found `" + std::string(text) +
                                                   "` | put it into quotes: \"" + text + "\"");
  EXPECT_EQ(refusal(read_text(Node::map())), "must be a text, found a section | ");
}

TEST(ReadScalar, TakesAWordOfTheEnvironmentAsAnyType) {
  const auto untyped = [](const char* text) { return Node::scalar(text, ScalarStyle::kUntyped); };

  EXPECT_EQ(read_int(untyped("4")).value, 4);
  EXPECT_EQ(read_text(untyped("4")).value, "4");
  EXPECT_EQ(read_text(untyped("yes")).value, "yes");
  EXPECT_EQ(read_bool(untyped("true")).value, true);
  EXPECT_FALSE(read_int(untyped("010")).value.has_value());
}

TEST(Found, ShortensLongTextsBetweenCharacters) {
  const std::string shown = found(plain(std::string(59, 'a') + "\xc3\xa9" + "b"));

  EXPECT_EQ(shown, "`" + std::string(59, 'a') + "...`");
}

TEST(LooksTyped, KnowsTheWordsThatSomeReaderConverts) {
  for (const char* text : {"1", "-1", "+.5", "010", "1e3", "4bit", "true", "Yes", "off", "null",
                           "~", "", ".inf", "..."})
    EXPECT_TRUE(looks_typed(text)) << text;
  for (const char* text : {"a", "a1", "-a", "x.5", "none"}) EXPECT_FALSE(looks_typed(text)) << text;
}

}  // namespace
}  // namespace qtk::config
