#include "report/html.hpp"

#include <gtest/gtest.h>

#include <type_traits>

namespace qtk::report {
namespace {

constexpr const char* kReplaced = "\xEF\xBF\xBD";

TEST(Escape, ReplacesWhatMarkupIsMadeOf) {
  EXPECT_EQ(escape("<script>alert('a&b')</script> \"q\""),
            "&lt;script&gt;alert(&#39;a&amp;b&#39;)&lt;/script&gt; &quot;q&quot;");
}

TEST(Escape, KeepsLinesTabsAndUnicode) {
  EXPECT_EQ(escape("a\n\tb \u00b1 \u2016 \U0001F600"), "a\n\tb \u00b1 \u2016 \U0001F600");
}

TEST(Escape, ReplacesControlCharactersAndBrokenUtf8) {
  using namespace std::string_view_literals;
  const std::pair<std::string_view, int> cases[] = {
      {"\0"sv, 1},
      {"\x1b"sv, 1},
      {"\x7f"sv, 1},
      {"\r"sv, 1},
      {"\xff"sv, 1},
      {"\x80"sv, 1},
      {"\xc3"sv, 1},              // a sequence that is cut off
      {"\xc0\xbc"sv, 2},          // an overlong '<'
      {"\xed\xa0\x80"sv, 3},      // a surrogate
      {"\xf4\x90\x80\x80"sv, 4},  // beyond U+10FFFF
      {"\xe0\x80\xbc"sv, 3},
      {"\xf0\x80\x80\xbc"sv, 4},
  };
  for (const auto& [broken, count] : cases) {
    std::string expected = "a";
    for (int i = 0; i < count; ++i) expected += kReplaced;
    EXPECT_EQ(escape("a" + std::string(broken) + "b"), expected + "b");
  }
}

TEST(Escape, DoesNotSwallowMarkupAfterACutSequence) {
  EXPECT_EQ(escape("\xe2<b>"), std::string(kReplaced) + "&lt;b&gt;");
}

TEST(Markup, IsNotMadeOfStringsUnseen) {
  EXPECT_FALSE((std::is_convertible_v<std::string, Markup>));
  EXPECT_FALSE((std::is_constructible_v<Markup, std::string>));
  EXPECT_FALSE((std::is_constructible_v<Markup, const char*>));
}

TEST(Element, ClosesItselfAndEscapesTextAndAttributes) {
  EXPECT_EQ(element("p", {{"title", "a\"b<"}}, "x<y").str(),
            "<p title=\"a&quot;b&lt;\">x&lt;y</p>");
  EXPECT_EQ(empty_element("rect", {{"width", "3"}}).str(), "<rect width=\"3\"/>");
}

TEST(Element, TakesMarkupAsItIs) {
  EXPECT_EQ(element("p", {}, element("b", {}, "x") + text("&")).str(), "<p><b>x</b>&amp;</p>");
}

TEST(Number, CarriesItsExactValue) {
  EXPECT_EQ(number(20.9113, "20.91").str(), "<data value=\"20.9113\">20.91</data>");
}

TEST(Absent, SaysTheReasonToThoseWhoDoNotSeeTheDash) {
  EXPECT_NE(absent("not measured").str().find(">not measured<"), std::string::npos);
  EXPECT_NE(absent("not measured").str().find("aria-hidden=\"true\">\u2013<"), std::string::npos);
}

TEST(Breakable, MayBreakAfterDotsAndSlashesOnly) {
  EXPECT_EQ(breakable("a.b/c<").str(), "a.<wbr/>b/<wbr/>c&lt;");
  EXPECT_EQ(breakable("end.").str(), "end.");
  EXPECT_EQ(breakable("").str(), "");
}

}  // namespace
}  // namespace qtk::report
