#include "text/corpus.hpp"

#include "text_fixtures.hpp"

namespace qtk::text {
namespace {

using testing::fresh_folder;
using testing::message_of;
using testing::write_text;
using Documents = std::vector<std::string>;

Documents read(const std::string& content, CorpusFormat format, const std::string& field = "text") {
  const auto path = fresh_folder() / "corpus";
  write_text(path, content);
  return read_documents({path, format, field});
}

TEST(Corpus, APlainFileIsOneDocumentWithUnixLineEnds) {
  EXPECT_EQ(read("\xef\xbb\xbfone\r\ntwo\rthree\n", CorpusFormat::kPlain),
            (Documents{"one\ntwo\nthree\n"}));
}

TEST(Corpus, JsonLinesGiveOneStringEach) {
  const std::string lines =
      "{\"text\": \"a\\r\\n\", \"n\": 1}\r\n\n{\"text\": \"\\u00e9\", \"body\": \"b\"}";

  EXPECT_EQ(read(lines, CorpusFormat::kJsonl), (Documents{"a\r\n", "\xc3\xa9"}));
  EXPECT_EQ(read("{\"body\": \"b\"}", CorpusFormat::kJsonl, "body"), (Documents{"b"}));
}

TEST(Corpus, WikitextGivesArticles) {
  EXPECT_EQ(read(" \r\n = One = \r\n text\r\n = Two = \r\n", CorpusFormat::kWikitext),
            (Documents{" = One = \n text", " = Two = \n"}));
}

TEST(Corpus, FaultsAreNamedWithTheirPlace) {
  struct Case {
    std::string content;
    CorpusFormat format;
    const char* expected;
  };
  const Case cases[] = {
      {"a\nb\xe9\n", CorpusFormat::kPlain, "corpus is not UTF-8: line 2, byte 3 of the file"},
      {std::string("\xff\xfe"
                   "a\0",
                   4),
       CorpusFormat::kPlain, "corpus is UTF-16, expected UTF-8"},
      {"{\"text\": \"a\"}\n{\"text\": }\n", CorpusFormat::kJsonl, "corpus:2 is not JSON"},
      {"{\"body\": \"a\"}", CorpusFormat::kJsonl, "corpus:1: the top level has no member `text`"},
      {"{\"text\": 5}", CorpusFormat::kJsonl, "corpus:1: `text` is not a string"},
      {"[1]", CorpusFormat::kJsonl, "corpus:1: the top level is not an object"},
      {"\n\n", CorpusFormat::kJsonl, "corpus holds no documents"},
      {" \n \n", CorpusFormat::kWikitext, "corpus holds no documents"},
      {"\xef\xbb\xbf", CorpusFormat::kPlain, "corpus holds no documents"},
  };
  for (const auto& [content, format, expected] : cases) {
    const std::string message = message_of([&, &c = content, &f = format] { read(c, f); });

    EXPECT_NE(message.find(expected), std::string::npos) << message;
  }
}

TEST(Corpus, FormatsHaveNames) {
  EXPECT_EQ(corpus_format("plain"), CorpusFormat::kPlain);
  EXPECT_EQ(corpus_format("jsonl"), CorpusFormat::kJsonl);
  EXPECT_EQ(corpus_format("wikitext"), CorpusFormat::kWikitext);
  EXPECT_EQ(message_of<ConfigError>([] { corpus_format("csv"); }),
            "the format of a corpus is `csv`, expected plain, jsonl or wikitext");
}

}  // namespace
}  // namespace qtk::text
