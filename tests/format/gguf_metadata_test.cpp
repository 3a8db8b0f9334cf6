#include "format/gguf_metadata.hpp"

#include "format_fixtures.hpp"

namespace qtk::format {
namespace {

GgufMetadata sample() {
  GgufMetadata metadata;
  metadata.values = {{"signed", int64_t{-3}},
                     {"unsigned", uint64_t{7}},
                     {"large", ~uint64_t{0}},
                     {"real", 0.5},
                     {"flag", true},
                     {"text", std::string("hello")},
                     {"texts", std::vector<std::string>{"a", "b"}},
                     {"integers", std::vector<int64_t>{1, -2}},
                     {"reals", std::vector<double>{0.5}},
                     {"flags", std::vector<bool>{true}}};
  return metadata;
}

TEST(GgufMetadata, ConvertsIntegersThatFit) {
  const auto metadata = sample();

  EXPECT_EQ(metadata.integer("signed"), -3);
  EXPECT_EQ(metadata.integer("unsigned"), 7);
  EXPECT_EQ(metadata.real("signed"), -3.0);
  EXPECT_EQ(metadata.real("unsigned"), 7.0);
  EXPECT_EQ(metadata.real("real"), 0.5);
  EXPECT_EQ(metadata.text("text"), "hello");
  EXPECT_EQ(metadata.texts("texts"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(metadata.integers("integers"), (std::vector<int64_t>{1, -2}));
  EXPECT_EQ(metadata.reals("integers"), (std::vector<double>{1, -2}));
  EXPECT_EQ(metadata.reals("reals"), (std::vector<double>{0.5}));
}

TEST(GgufMetadata, DefaultsServeOnlyMissingKeys) {
  const auto metadata = sample();

  EXPECT_EQ(metadata.integer_or("absent", 9), 9);
  EXPECT_EQ(metadata.integer_or("unsigned", 9), 7);
  EXPECT_EQ(metadata.real_or("absent", 1.5), 1.5);
  EXPECT_EQ(metadata.real_or("real", 1.5), 0.5);
  EXPECT_TRUE(metadata.flag_or("absent", true));
  EXPECT_TRUE(metadata.flag_or("flag", false));
  EXPECT_THROW(metadata.integer_or("text", 9), DataError);
  EXPECT_THROW(metadata.real_or("text", 9), DataError);
  EXPECT_THROW(metadata.flag_or("unsigned", true), DataError);
}

TEST(GgufMetadata, NamesKeysOfTheWrongType) {
  const auto metadata = sample();
  const std::vector<std::pair<std::string, std::string>> cases = {
      {message_of([&] { metadata.integer("real"); }),
       "the GGUF key 'real' is a real number, expected a whole number"},
      {message_of([&] { metadata.integer("flag"); }),
       "'flag' is a truth value, expected a whole number"},
      {message_of([&] { metadata.integer("large"); }),
       "'large' is 18446744073709551615, expected at most 2^63 - 1"},
      {message_of([&] { metadata.real("text"); }), "'text' is text, expected a number"},
      {message_of([&] { metadata.text("unsigned"); }),
       "'unsigned' is a whole number, expected text"},
      {message_of([&] { metadata.texts("text"); }), "'text' is text, expected a list of texts"},
      {message_of([&] { metadata.texts("integers"); }),
       "'integers' is a list of integers, expected a list of texts"},
      {message_of([&] { metadata.integers("reals"); }),
       "'reals' is a list of numbers, expected a list of integers"},
      {message_of([&] { metadata.reals("texts"); }),
       "'texts' is a list of texts, expected a list of numbers"},
      {message_of([&] { metadata.integers("flags"); }),
       "'flags' is a list of truth values, expected a list"},
  };
  for (const auto& [message, fragment] : cases) expect_contains(message, fragment);
}

TEST(GgufMetadata, SuggestsTheNearestKey) {
  const auto metadata = sample();

  expect_contains(message_of([&] { metadata.integer("unsigmed"); }),
                  "the GGUF key 'unsigmed' is missing; the file has 'unsigned'");
  EXPECT_FALSE(metadata.has("unsigmed"));
  EXPECT_TRUE(metadata.has("unsigned"));
}

}  // namespace
}  // namespace qtk::format
