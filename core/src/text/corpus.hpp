// Text files as documents.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace qtk::text {

enum class CorpusFormat {
  kPlain,     // the whole file is one document
  kJsonl,     // one JSON object a line; one of its strings is the document
  kWikitext,  // WikiText: articles behind headings of the form " = Title = "
};

/// "plain", "jsonl" or "wikitext". @throws ConfigError for another word
CorpusFormat corpus_format(std::string_view name);

struct CorpusFile {
  std::filesystem::path path;
  CorpusFormat format = CorpusFormat::kPlain;
  std::string field = "text";  // of kJsonl
};

/// Calls `visit` with every document, in order. Plain text and WikiText are read as text files:
/// line ends of every kind become "\n" and a byte order mark is dropped. Empty lines of JSONL are
/// skipped.
/// @throws DataError naming file and place: not UTF-8, a line that is not JSON or has no such
/// string, no text at all
void visit_documents(const CorpusFile& file,
                     const std::function<void(std::string_view document)>& visit);

/// A whole text file, read as kPlain is.
std::string read_text(const std::filesystem::path& path);

/// All documents at once, for corpora that fit in memory.
std::vector<std::string> read_documents(const CorpusFile& file);

}  // namespace qtk::text
