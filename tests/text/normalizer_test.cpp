#include "text/normalizer.hpp"

#include "text_fixtures.hpp"

namespace qtk::text {
namespace {

using testing::Field;
using testing::message_of;

std::string normalized(const std::string& json, const std::string& text) {
  const Field field(json);
  return read_normalizer(*field)->apply(text);
}

TEST(Normalizer, PrependLeavesAnEmptyTextAlone) {
  const std::string prepend = R"({"type": "Prepend", "prepend": "_"})";

  EXPECT_EQ(normalized(prepend, " x"), "_ x");
  EXPECT_EQ(normalized(prepend, ""), "");
}

TEST(Normalizer, SequenceAppliesItsStepsInOrder) {
  EXPECT_EQ(normalized(R"({"type": "Sequence", "normalizers": [
      {"type": "Prepend", "prepend": " "}, {"type": "Replace", "pattern": {"String": " "}, "content": "_"}]})",
                       "a b"),
            "_a_b");
}

TEST(Normalizer, ReplaceTakesItsContentLiterally) {
  EXPECT_EQ(normalized(R"({"type": "Replace", "pattern": {"Regex": "(a)b"}, "content": "$1\\1"})",
                       "abab"),
            R"($1\1$1\1)");
}

TEST(Normalizer, UnicodeFormsComposeAndDecompose) {
  const std::string composed = "\xc3\xa9 \xef\xac\x81",
                    decomposed = "e\xcc\x81 \xef\xac\x81";  // e acute, fi ligature

  EXPECT_EQ(normalized(R"({"type": "NFC"})", decomposed), composed);
  EXPECT_EQ(normalized(R"({"type": "NFD"})", composed), decomposed);
  EXPECT_EQ(normalized(R"({"type": "NFKC"})", decomposed), "\xc3\xa9 fi");
  EXPECT_EQ(normalized(R"({"type": "NFKD"})", composed), "e\xcc\x81 fi");
}

TEST(Normalizer, UnicodeFormsLookBeyondTheCharactersTheyCanSkip) {
  EXPECT_EQ(normalized(R"({"type": "NFC"})", "plain text and \xc3\xa9, then A\xcc\x8a"),
            "plain text and \xc3\xa9, then \xc3\x85");
  EXPECT_EQ(normalized(R"({"type": "NFKC"})", "x\xc2\xb2"), "x2");
  EXPECT_EQ(normalized(R"({"type": "NFD"})", "\xed\x95\x9c"),
            "\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab");  // Hangul
  EXPECT_EQ(normalized(R"({"type": "NFC"})", std::string("a\0b\xcc\x81", 5)),
            std::string("a\0b\xcc\x81", 5));
}

TEST(Normalizer, RefusesWhatItDoesNotImplement) {
  const std::pair<std::string, const char*> cases[] = {
      {R"({"type": "Lowercase"})",
       "t.json: `field.type` is `Lowercase`, which qtk does not implement (known: Sequence, "
       "Prepend, Replace, NFC, NFD, "
       "NFKC, NFKD)"},
      {R"({"type": "NFC", "strict": true})",
       "`field` has an unknown member `strict` (known: type)"},
      {R"({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Strip"}]})",
       "`field.normalizers[1].type` is `Strip`"},
      {R"({"type": "Sequence", "normalizers": {}})", "`field.normalizers` is not an array"},
      {R"({"type": "Prepend", "prepend": ")" + std::string(300, 'x') + R"("})",
       "has 300 bytes, expected at most 256"},
      {R"({"type": "Replace", "content": "x"})", "`field` has no member `pattern`"},
      {R"([])", "`field` is not an object"},
  };
  for (const auto& [json, expected] : cases) {
    const Field field(json);
    const std::string message = message_of([&] { read_normalizer(*field); });

    EXPECT_NE(message.find(expected), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace qtk::text
