#include "text/token_decoder.hpp"

#include "text/post_processor.hpp"
#include "text_fixtures.hpp"

namespace qtk::text {
namespace {

using testing::Field;
using testing::message_of;
using Tokens = std::vector<std::string>;

Tokens decoded(const std::string& json, Tokens tokens) {
  const Field field(json);
  read_token_decoder(*field)->apply(tokens);
  return tokens;
}

TEST(TokenDecoder, WithoutOneTokensAreJoinedBySpaces) {
  Tokens tokens = {"a", "b"};
  read_token_decoder(std::nullopt)->apply(tokens);

  EXPECT_EQ(tokens, (Tokens{"a", " b"}));
}

TEST(TokenDecoder, ByteLevelJoinsBytesAcrossTokensAndRepairsThem) {
  const std::string json = R"({"type": "ByteLevel"})";

  EXPECT_EQ(decoded(json, {"\xc4\xa0"
                           "caf\xc3\x83",
                           "\xc2\xa9"}),
            (Tokens{" caf\xc3\xa9"}));
  EXPECT_EQ(decoded(json, {"a\xc3\x83", "b"}), (Tokens{"a\xef\xbf\xbd"
                                                       "b"}));
  EXPECT_EQ(decoded(json, {"\xe4\xb8\xad"}),
            (Tokens{"\xe4\xb8\xad"}));  // an added token outside the alphabet
}

TEST(TokenDecoder, ByteFallbackReplacesEveryByteOfABadRun) {
  const std::string json = R"({"type": "ByteFallback"})";

  EXPECT_EQ(decoded(json, {"x", "<0xC3>", "<0xA9>", "y"}), (Tokens{"x", "\xc3\xa9", "y"}));
  EXPECT_EQ(decoded(json, {"<0xC3>", "<0x41>", "y"}),
            (Tokens{"\xef\xbf\xbd", "\xef\xbf\xbd", "y"}));
  EXPECT_EQ(decoded(json, {"<0xZZ>", "<0x4>"}), (Tokens{"<0xZZ>", "<0x4>"}));
}

TEST(TokenDecoder, FuseMakesOneTokenForStripToWorkOn) {
  EXPECT_EQ(
      decoded(
          R"({"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "_"}, "content": " "},
      {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]})",
          {"_", "_a", "_"}),
      (Tokens{" a "}));
  EXPECT_EQ(decoded(R"({"type": "Strip", "content": "-", "start": 2, "stop": 1})", {"---a--", "-"}),
            (Tokens{"-a-", ""}));
}

TEST(TokenDecoder, MetaspaceDropsTheMarkOfTheFirstTokenIfOneWasPrepended) {
  EXPECT_EQ(decoded(R"({"type": "Metaspace", "replacement": "_", "prepend_scheme": "always"})",
                    {"_a", "_b_"}),
            (Tokens{"a", " b "}));
  EXPECT_EQ(decoded(R"({"type": "Metaspace", "replacement": "_", "prepend_scheme": "never"})",
                    {"_a", "_b"}),
            (Tokens{" a", " b"}));
}

TEST(TokenDecoder, RefusesWhatItDoesNotImplement) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"type": "WordPiece"})", "`field.type` is `WordPiece`, which qtk does not implement"},
      {R"({"type": "Fuse", "x": 1})", "has an unknown member `x`"},
      {R"({"type": "Strip", "content": "", "start": 1, "stop": 0})", "`field.content` is empty"},
      {R"({"type": "Strip", "content": " ", "start": -1, "stop": 0})", "`field.start` is -1"},
      {R"({"type": "Sequence", "decoders": [{"type": "CTC"}]})",
       "`field.decoders[0].type` is `CTC`"},
  };
  for (const auto& [json, expected] : cases) {
    const std::string message = message_of([&, &j = json] { decoded(j, {}); });

    EXPECT_NE(message.find(expected), std::string::npos) << message;
  }
}

TEST(PostProcessor, AStepPutsItsTokensAroundThoseOfTheStepsBefore) {
  const Field field(R"({"type": "Sequence", "processors": [
      {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A"}}],
       "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [1, 2], "tokens": ["<s>", "x"]}}},
      {"type": "ByteLevel", "trim_offsets": true},
      {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "c", "type_id": 0}}, {"Sequence": {"id": "A"}},
       {"SpecialToken": {"id": "e", "type_id": 0}}],
       "special_tokens": {"c": {"ids": [7]}, "e": {"ids": [8]}}}]})");

  const PostProcessor added = read_post_processor(*field);

  EXPECT_EQ(added.before, (std::vector<int32_t>{7, 1, 2}));
  EXPECT_EQ(added.behind, (std::vector<int32_t>{8}));
}

TEST(PostProcessor, RefusesTemplatesThatAreNotAroundOneText) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"type": "BertProcessing"})", "`field.type` is `BertProcessing`"},
      {R"({"type": "TemplateProcessing", "single": []})",
       "`field.single` does not contain the text `A`"},
      {R"({"type": "TemplateProcessing", "single": [{"Sequence": {"id": "B"}}]})",
       "`field.single[0]` is not the one text `A`"},
      {R"({"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}}, {"Sequence": {"id": "A"}}]})",
       "`field.single[1]` is not the one text `A`"},
      {R"({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x"}}], "special_tokens": {}})",
       "`field.special_tokens` has no member `x`"},
      {R"({"type": "TemplateProcessing", "single": [{"Token": 1}]})",
       "has an unknown member `Token`"},
  };
  for (const auto& [json, expected] : cases) {
    const Field field(json);
    const std::string message = message_of([&] { read_post_processor(*field); });

    EXPECT_NE(message.find(expected), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace qtk::text
