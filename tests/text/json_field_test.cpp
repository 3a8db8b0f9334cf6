#include "text/json_field.hpp"

#include "text_fixtures.hpp"

namespace qtk::text {
namespace {

using testing::Field;
using testing::message_of;

TEST(JsonField, NamesThePathOfANestedValue) {
  const Field field(R"({"a": [{"b": 1}, {"b": "x"}]})");

  const JsonField inner = (*field).at("a").items()[1].at("b");

  EXPECT_EQ(inner.path(), "field.a[1].b");
  EXPECT_EQ(inner.text(), "x");
  EXPECT_EQ(message_of([&] { inner.flag(); }), "t.json: `field.a[1].b` is not true or false");
}

TEST(JsonField, TreatsNullAsMissingWhereAFieldMayBeMissing) {
  const Field field(R"({"a": null, "b": true})");

  EXPECT_FALSE((*field).find("a"));
  EXPECT_FALSE((*field).find("c"));
  EXPECT_TRUE((*field).find("b"));
  EXPECT_TRUE((*field).flag_or("a", true));
  EXPECT_TRUE((*field).flag_or("b", false));
}

TEST(JsonField, ChecksIntegersAgainstTheirRange) {
  const auto value_of = [](const char* json) {
    const Field field(json);
    return (*field).integer(-5, 10);
  };

  EXPECT_EQ(value_of("-5"), -5);
  EXPECT_EQ(value_of("10"), 10);
  for (const char* bad : {"-6", "11", "1.0", "\"1\"", "18446744073709551615", "null"}) {
    EXPECT_EQ(message_of([&] { value_of(bad); }),
              std::string("t.json: `field` is ") + bad + ", expected an integer in [-5, 10]");
  }
}

TEST(ParseJson, CountsDepthOutsideStringsOnly) {
  const std::string brackets(500, '[');

  EXPECT_EQ(parse_json(R"({"a": ")" + brackets + R"(\"[\\"})", "t.json")["a"], brackets + "\"[\\");
  EXPECT_EQ(message_of([&] { parse_json(brackets, "t.json"); }),
            "t.json is nested 500 levels deep, expected at most 64");
}

}  // namespace
}  // namespace qtk::text
