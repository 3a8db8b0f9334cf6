#include "text/utf8.hpp"

#include <gtest/gtest.h>

namespace qtk::text {
namespace {

TEST(Utf8, EveryCodePointSurvivesEncodingAndDecoding) {
  std::string all;
  for (char32_t c = 0; c <= 0x10ffff; ++c) {
    if (c >= 0xd800 && c < 0xe000) continue;
    std::string one;
    append_utf8(c, one);
    ASSERT_EQ(decode_utf8(one.data()), c);
    ASSERT_EQ(static_cast<size_t>(utf8_length(one[0])), one.size())
        << std::hex << static_cast<uint32_t>(c);
    all += one;
  }

  EXPECT_EQ(valid_utf8_prefix(all), all.size());
  EXPECT_EQ(replace_invalid_utf8(all), all);
}

// The examples of the Unicode standard, section 3.9, and what Python's errors="replace" makes of
// them.
TEST(Utf8, EachMaximalPartOfAnIllFormedSequenceBecomesOneReplacement) {
  const std::string r = "\xef\xbf\xbd";
  const std::pair<std::string, std::string> cases[] = {
      {"\xc0\xaf\xe0\x80\xbf\xf0\x81\x82\x41", r + r + r + r + r + r + r + r + "A"},
      {"\xed\xa0\x80\xed\xbf\xbf\xed\xaf\x41", r + r + r + r + r + r + r + r + "A"},
      {"\xf4\x91\x92\x93\xff\x41\x80\xbf\x42", r + r + r + r + r + "A" + r + r + "B"},
      {"\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41", r + r + r + r + "A"},
      {"ab\xe4\xb8", "ab" + r},
      {"\xc3", r},
      {"\xc3\xc3\xa9", r + "\xc3\xa9"},
      {"01234567\xff\x38", "01234567" + r + "8"},
  };
  for (const auto& [bytes, expected] : cases)
    EXPECT_EQ(replace_invalid_utf8(bytes), expected) << bytes;
}

TEST(Utf8, TheValidPrefixEndsBeforeTheFirstFault) {
  EXPECT_EQ(valid_utf8_prefix("0123456789abcde\xc3\xa9\xc3"), 17u);
  EXPECT_EQ(valid_utf8_prefix("\x80"), 0u);
  EXPECT_EQ(valid_utf8_prefix(""), 0u);
}

TEST(Utf8, WhiteSpaceIsUnicodesAndNotTheZeroWidthKind) {
  for (const char32_t c :
       {0x09, 0x0d, 0x20, 0x85, 0xa0, 0x1680, 0x2000, 0x200a, 0x2028, 0x202f, 0x3000})
    EXPECT_TRUE(is_white_space(c)) << static_cast<uint32_t>(c);
  for (const char32_t c : {0x08, 0x1c, 0x1f, 0x180e, 0x200b, 0x2060, 0xfeff})
    EXPECT_FALSE(is_white_space(c)) << static_cast<uint32_t>(c);
}

}  // namespace
}  // namespace qtk::text
