// qtk inspect: what a model file holds, and what its tokenizer makes of a text
#include "base/hash.hpp"
#include "base/progress.hpp"
#include "command_line.hpp"
#include "format/gguf.hpp"
#include "format/safetensors.hpp"
#include "model/decoder_config.hpp"
#include "text/corpus.hpp"
#include "text/tokenizer.hpp"
#include "verb.hpp"

#include <qtk/runtime/error.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <iostream>

namespace qtk::app {
namespace {

namespace fs = std::filesystem;
namespace po = boost::program_options;
using nlohmann::json;

struct Row {
  std::string name, type;
  std::vector<int64_t> shape;
  int64_t bytes = 0;
};

std::vector<Row> rows_of(const fs::path& path) {
  std::vector<Row> rows;
  if (path.extension() == ".gguf") {
    const auto file = format::GgufFile::open(path);
    for (const auto& tensor : file.tensors())
      rows.push_back({tensor.name, std::string(tensor.type->name), tensor.shape, tensor.nbytes()});
    return rows;
  }
  const auto add = [&](const format::TensorInfo& info) {
    rows.push_back({info.name, c10::toString(info.dtype), info.shape, info.nbytes()});
  };
  if (fs::is_directory(path))
    std::ranges::for_each(format::TensorFolder::open(path).tensors(), add);
  else
    std::ranges::for_each(format::SafetensorsFile::open(path).tensors(), add);
  return rows;
}

int show_tensors(const fs::path& path, bool is_json) {
  const auto rows = rows_of(path);
  int64_t bytes = 0, weights = 0;
  json list = json::array();
  for (const auto& row : rows) {
    int64_t numel = 1;
    for (const int64_t size : row.shape) numel *= size;
    bytes += row.bytes;
    weights += numel;
    if (is_json)
      list.push_back(
          {{"name", row.name}, {"type", row.type}, {"shape", row.shape}, {"bytes", row.bytes}});
    else
      std::printf("%-56s %-8s %-20s %12lld\n", row.name.c_str(), row.type.c_str(),
                  format::shape_text(row.shape).c_str(), static_cast<long long>(row.bytes));
  }
  if (is_json)
    std::cout << json{{"tensors", list},
                      {"count", rows.size()},
                      {"elements", weights},
                      {"bytes", bytes}}
                     .dump(2)
              << "\n";
  else
    std::printf("%zu tensors, %lld elements, %s\n", rows.size(), static_cast<long long>(weights),
                size_text(bytes).c_str());
  return 0;
}

int show_tokens(const fs::path& model, const fs::path& file, bool is_json) {
  static_assert(std::endian::native == std::endian::little,
                "ids are hashed as little-endian int32");
  const auto ids = text::Tokenizer::load(model).encode(text::read_text(file));
  const std::string digest = sha256(std::as_bytes(std::span(ids)));
  const std::vector<int32_t> head(
      ids.begin(), ids.begin() + static_cast<int64_t>(std::min<size_t>(16, ids.size())));
  if (is_json) {
    std::cout << json{{"count", ids.size()}, {"sha256", digest}, {"head", head}}.dump() << "\n";
  } else {
    std::cout << ids.size() << " tokens, SHA-256 of the ids " << digest << "\nfirst:";
    for (const int32_t id : head) std::cout << " " << id;
    std::cout << "\n";
  }
  return 0;
}

}  // namespace

int inspect(Arguments arguments) {
  CommandLine line(
      "qtk inspect --model PATH [--tokenize --text FILE] [--json]",
      "Lists the tensors of a model (folder, .safetensors or .gguf), or the token ids of a text.",
      "qtk inspect --model models/smollm2 --tokenize --text novel.txt --json");
  line.flags()("model", po::value<std::string>(), "folder or file")(
      "tokenize", "encode --text instead")("text", po::value<std::string>(), "text file")(
      "json", "JSON on stdout");
  line.positional("model");
  line.parse(arguments);
  const fs::path model = line.required("model");
  if (!fs::exists(model)) throw DataError("there is no " + model.string(), "check the path");
  if (line.has("tokenize")) return show_tokens(model, line.required("text"), line.has("json"));
  return show_tensors(model, line.has("json"));
}

}  // namespace qtk::app
