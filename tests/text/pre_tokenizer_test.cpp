#include "text/pre_tokenizer.hpp"

#include "text/byte_level.hpp"
#include "text_fixtures.hpp"

namespace qtk::text {
namespace {

using testing::Field;
using testing::message_of;

std::vector<std::string> words(const std::string& json, const std::string& text,
                               bool starts_document = true) {
  const Field field(json);
  Pieces pieces{text, {{0, text.size()}}, starts_document};
  read_pre_tokenizer(*field)->apply(pieces);
  std::vector<std::string> found;
  for (const Range& range : pieces.ranges) found.emplace_back(pieces.view(range));
  return found;
}

using Words = std::vector<std::string>;

std::string metaspace_with(const std::string& rest) {
  return R"({"type": "Metaspace", "replacement": "_", )" + rest + "}";
}

TEST(Metaspace, PrependsAsTheSchemeSays) {
  EXPECT_EQ(words(metaspace_with(R"("prepend_scheme": "always", "split": false)"), "a b", false),
            (Words{"_a_b"}));
  EXPECT_EQ(words(metaspace_with(R"("prepend_scheme": "first", "split": false)"), "a b", false),
            (Words{"a_b"}));
  EXPECT_EQ(words(metaspace_with(R"("prepend_scheme": "first", "split": false)"), "a b", true),
            (Words{"_a_b"}));
  EXPECT_EQ(words(metaspace_with(R"("prepend_scheme": "never", "split": false)"), "a b", true),
            (Words{"a_b"}));
  EXPECT_EQ(words(metaspace_with(R"("prepend_scheme": "always", "split": false)"), " a", true),
            (Words{"_a"}));
}

TEST(Metaspace, SplitsBeforeEverySpace) {
  EXPECT_EQ(words(metaspace_with(R"("prepend_scheme": "always", "split": true)"), "a  b"),
            (Words{"_a", "_", "_b"}));
}

TEST(Metaspace, OldFilesSayItWithAFlag) {
  EXPECT_EQ(words(metaspace_with(R"("add_prefix_space": false)"), "a"), (Words{"a"}));
  EXPECT_EQ(words(metaspace_with(R"("add_prefix_space": true)"), "a"), (Words{"_a"}));
}

TEST(Metaspace, OnlyTheBeginningOfTheDocumentIsFirst) {
  const std::string lines = R"({"type": "Sequence", "pretokenizers": [
      {"type": "Split", "pattern": {"String": "/"}, "behavior": "Removed"},)" +
                            metaspace_with(R"("prepend_scheme": "first", "split": false)") + "]}";

  EXPECT_EQ(words(lines, "a/b"), (Words{"_a", "b"}));
  EXPECT_EQ(words(lines, "/b"), (Words{"b"}));
}

TEST(ByteLevel, SpellsEveryByteInItsAlphabetAndBack) {
  std::string bytes, spelled, back;
  for (int byte = 0; byte < 256; ++byte) bytes += static_cast<char>(byte);

  append_byte_level(bytes, spelled);

  EXPECT_TRUE(append_bytes_of(spelled, back));
  EXPECT_EQ(back, bytes);
  EXPECT_EQ(spelled.substr(0, 2), "\xc4\x80");  // byte 0 is U+0100
  EXPECT_NE(spelled.find("~\xc4\xa1"),
            std::string::npos);  // 0x7f follows the printable range as U+0121
  EXPECT_FALSE(
      append_bytes_of("\xc4\x80\xe4\xb8\xad", back));  // a Chinese character is not of the alphabet
  EXPECT_EQ(back, bytes);
}

TEST(ByteLevel, SplitsWordsUnlessToldNotTo) {
  const std::string start = R"({"type": "ByteLevel", "add_prefix_space": false)";

  EXPECT_EQ(words(start + "}", "it's  5a"), (Words{"it", "'s", "\xc4\xa0",
                                                   "\xc4\xa0"
                                                   "5",
                                                   "a"}));
  EXPECT_EQ(words(start + R"(, "use_regex": false})", "a b"), (Words{"a\xc4\xa0"
                                                                     "b"}));
}

TEST(Digits, StandAloneOrTogether) {
  EXPECT_EQ(words(R"({"type": "Digits", "individual_digits": true})", "a12\xc2\xbd"),
            (Words{"a", "1", "2", "\xc2\xbd"}));
  EXPECT_EQ(words(R"({"type": "Digits", "individual_digits": false})", "a12b"),
            (Words{"a", "12", "b"}));
}

TEST(PreTokenizer, RefusesWhatItDoesNotImplement) {
  const std::pair<std::string, const char*> cases[] = {
      {R"({"type": "Whitespace"})",
       "t.json: `field.type` is `Whitespace`, which qtk does not implement (known: Sequence, "
       "ByteLevel, Split, Digits, "
       "Metaspace)"},
      {R"({"type": "Sequence", "pretokenizers": [{"type": "Punctuation"}]})",
       "`field.pretokenizers[0].type` is `Punctuation`"},
      {R"({"type": "ByteLevel", "add_prefix_space": 1})",
       "`field.add_prefix_space` is not true or false"},
      {R"({"type": "ByteLevel", "new_option": 1})", "has an unknown member `new_option`"},
      {metaspace_with(R"("prepend_scheme": "last")"),
       "`field.prepend_scheme` is `last`, expected always, first or never"},
      {R"({"type": "Metaspace", "replacement": "ab"})",
       "`field.replacement` is `ab`, expected one character"},
      {R"({"type": "Split", "pattern": {"Regex": "["}, "behavior": "Isolated"})",
       "does not compile"},
      {R"({"type": "Split", "pattern": {"Regex": "a"}, "behavior": "Lost"})",
       "`field.behavior` is `Lost`"},
      {R"({"kind": 1})", "`field` has no member `type`"},
  };
  for (const auto& [json, expected] : cases) {
    const Field field(json);
    const std::string message = message_of([&] { read_pre_tokenizer(*field); });

    EXPECT_NE(message.find(expected), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace qtk::text
