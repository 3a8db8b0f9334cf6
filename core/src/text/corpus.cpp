#include "text/corpus.hpp"

#include "base/mapped_file.hpp"
#include "text/json_field.hpp"
#include "text/utf8.hpp"
#include "text/wikitext.hpp"

#include <qtk/runtime/error.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>

namespace qtk::text {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

std::string_view without_mark(std::string_view content) {
  if (content.starts_with(kByteOrderMark)) content.remove_prefix(kByteOrderMark.size());
  return content;
}

void refuse_other_encodings(std::string_view content, const std::filesystem::path& path) {
  if (content.starts_with("\xff\xfe") || content.starts_with("\xfe\xff"))
    throw DataError(path.string() + " is UTF-16, expected UTF-8",
                    "convert it: iconv -f UTF-16 -t UTF-8");
  const size_t valid = valid_utf8_prefix(content);
  if (valid == content.size()) return;
  const auto line =
      1 + std::count(content.begin(), content.begin() + static_cast<std::ptrdiff_t>(valid), '\n');
  throw DataError(path.string() + " is not UTF-8: line " + std::to_string(line) + ", byte " +
                      std::to_string(valid) + " of the file",
                  "convert it, for example: iconv -f LATIN1 -t UTF-8");
}

std::string with_unix_line_ends(std::string_view content) {
  std::string text;
  text.reserve(content.size());
  for (size_t i = 0; i < content.size(); ++i) {
    if (content[i] != '\r') {
      text += content[i];
    } else if (i + 1 == content.size() || content[i + 1] != '\n') {
      text += '\n';
    }
  }
  return text;
}

void visit_json_lines(const CorpusFile& file, std::string_view content,
                      const std::function<void(std::string_view)>& visit) {
  int64_t number = 0;
  while (!content.empty()) {
    const size_t end = std::min(content.find('\n'), content.size());
    const std::string_view line = content.substr(0, end);
    content.remove_prefix(std::min(end + 1, content.size()));
    ++number;
    if (line.find_first_not_of(" \t\r") == line.npos) continue;
    const std::string where = file.path.string() + ":" + std::to_string(number);
    const nlohmann::json object = parse_json(line, where);
    visit(JsonField(object, where).at(file.field).text());
  }
}

}  // namespace

CorpusFormat corpus_format(std::string_view name) {
  if (name == "plain") return CorpusFormat::kPlain;
  if (name == "jsonl") return CorpusFormat::kJsonl;
  if (name == "wikitext") return CorpusFormat::kWikitext;
  throw ConfigError("the format of a corpus is `" + std::string(name) +
                    "`, expected plain, jsonl or wikitext");
}

void visit_documents(const CorpusFile& file,
                     const std::function<void(std::string_view document)>& visit) {
  const auto mapped = MappedFile::open(file.path);
  const auto bytes = mapped->bytes();
  const std::string_view raw(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  refuse_other_encodings(raw, file.path);
  const std::string_view content = without_mark(raw);
  int64_t documents = 0;
  const auto count_and_visit = [&](std::string_view document) {
    ++documents;
    visit(document);
  };
  if (file.format == CorpusFormat::kJsonl) {
    visit_json_lines(file, content, count_and_visit);
  } else if (const std::string text = with_unix_line_ends(content);
             file.format == CorpusFormat::kWikitext) {
    for (const std::string& page : wikitext_pages(text)) count_and_visit(page);
  } else if (!text.empty()) {
    count_and_visit(text);
  }
  if (documents == 0)
    throw DataError(file.path.string() + " holds no documents", "check the path and the format");
}

std::vector<std::string> read_documents(const CorpusFile& file) {
  std::vector<std::string> documents;
  visit_documents(file, [&](std::string_view document) { documents.emplace_back(document); });
  return documents;
}

std::string read_text(const std::filesystem::path& path) {
  std::string text;
  visit_documents({.path = path}, [&](std::string_view document) { text = document; });
  return text;
}

}  // namespace qtk::text
