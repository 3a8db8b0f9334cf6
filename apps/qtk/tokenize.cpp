// qtk tokenize: texts as token shards
#include "base/interrupt.hpp"
#include "command_line.hpp"
#include "stage/token_shard.hpp"
#include "verb.hpp"

#include <qtk/runtime/error.hpp>

#include <nlohmann/json.hpp>

#include <iostream>

namespace qtk::app {

namespace po = boost::program_options;
using nlohmann::json;
using Texts = std::vector<std::string>;

int tokenize(Arguments arguments) {
  CommandLine line("qtk tokenize --model DIR --text FILE... --out DIR [--format jsonl]",
                   "Tokenizes texts once, for data.train.shards of many runs.",
                   "qtk tokenize --model models/smollm2 --text corpus.jsonl --format jsonl --out "
                   "shards");
  line.flags()("model", po::value<std::string>(), "Hugging Face folder, for its tokenizer")(
      "text", po::value<Texts>()->composing(), "text file; repeatable")(
      "format", po::value<std::string>()->default_value("text"), "text, jsonl or wikitext")(
      "field", po::value<std::string>()->default_value("text"), "of jsonl: what holds the text")(
      "out", po::value<std::string>(), "folder for tokens.bin and data.json")(
      "json", "one JSON object on stdout");
  line.parse(arguments);
  watch_interrupts();
  const std::string name = line.text("format");
  const auto format = name == "text" ? text::CorpusFormat::kPlain : text::corpus_format(name);
  const std::string model = line.required("model"), out = line.required("out");
  std::vector<text::CorpusFile> files;
  if (!line.has("text")) throw ConfigError("--text is missing", "name at least one text");
  for (const auto& file : line.texts("text"))
    files.push_back({.path = file, .format = format, .field = line.text("field")});
  const auto written = stage::write_token_shard(files, text::Tokenizer::load(model), out);
  if (line.has("json"))
    std::cout << json{{"file", written.file.string()},
                      {"documents", written.documents},
                      {"tokens", written.tokens}}
                     .dump(2)
              << "\n";
  else
    std::cout << "wrote " << written.tokens << " tokens of " << written.documents
              << " documents to " << written.file.string() << "\n";
  return 0;
}

}  // namespace qtk::app
