// What the tests of this room share: parsing from a text, a folder of files, and a sample
// configuration.
#pragma once

#include "base/atomic_file.hpp"
#include "config/run_config.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace qtk::config {

/// A configuration that uses every key.
inline const std::string kSample = R"(qtk: 1
name: quickstart
seed: 7
device: cpu
determinism: strict
threads: 2
out: results
stages: [import, quantize, eval, export, report]
plugins: { path: [plugins_here] }
model: { path: models/small, dtype: bf16, import_dtype: f16 }
data:
  eval:
    files: [a.txt, b.txt]
    format: wikitext
    protocol: [ppl_token, ppl_word]
    ctx: 256
    windows: 4
    batch_tokens: 2048
    compare: false
quantizer:
  use: affine
  options: { bits: 4, group_size: 128 }
  targets: ["re:.*_proj"]
  skip: [lm_head]
  rules:
    - { match: "re:.*layers\\.0\\..*", options: { bits: 8 } }
variants:
  - { name: w4, options: { bits: 4 } }
  - { name: w3, use: other, options: { bits: 3 }, rules: [{ match: lm_head, options: { bits: 8 } }] }
export:
  - { use: hf-dense, dtype: bf16, dir: dense, check: false, variants: [w4] }
  - { use: gguf, type: Q4_0, file: model.gguf }
report: { html: true }
)";

/// What a sound text holds.
inline Node parsed(const std::string& text, const std::string& name = "x.yaml") {
  Diagnostics diagnostics;
  Document document = parse_document(text, name, {}, diagnostics);
  EXPECT_TRUE(diagnostics.ok()) << diagnostics.text() << "\n" << text;
  return document.root;
}

struct Read {
  Document document;
  RunConfig config;
  Diagnostics diagnostics;
};

/// A configuration from a text named "run.yaml".
inline Read read_run(const std::string& text, const std::vector<std::string>& overrides = {}) {
  Read result;
  result.document = parse_document(text, "run.yaml", overrides, result.diagnostics);
  result.config = read_run_config(result.document, result.diagnostics);
  return result;
}

/// A text with one mistake, and what is to be said about it.
struct Fault {
  const char* text;     // appended to a sound configuration
  const char* problem;  // the first two lines of the only report
};

inline void PrintTo(const Fault& fault, std::ostream* out) { *out << fault.text; }

/// The mistake is the only one reported, with its place and a remedy.
inline void expect_only_fault(const std::string& sound, const Fault& fault) {
  const Read read = read_run(sound + fault.text);
  ASSERT_EQ(read.diagnostics.errors().size(), 1u) << read.diagnostics.text();
  Problem problem = read.diagnostics.errors()[0];
  EXPECT_FALSE(problem.remedy.empty());
  problem.remedy.clear();
  EXPECT_EQ(to_string(problem), fault.problem);
}

/// A folder of files that goes away with the object.
class Files {
 public:
  explicit Files(const std::map<std::string, std::string>& files) {
    static int count = 0;
    folder_ = std::filesystem::temp_directory_path() /
              ("qtk_config_test_" + std::to_string(::getpid()) + "_" + std::to_string(count++));
    for (const auto& [name, text] : files) write_file_atomically(folder_ / name, text);
  }
  /// Only "main.yaml".
  explicit Files(const std::string& main)
      : Files(std::map<std::string, std::string>{{"main.yaml", main}}) {}
  ~Files() { std::filesystem::remove_all(folder_); }
  Files(const Files&) = delete;
  Files& operator=(const Files&) = delete;

  std::filesystem::path operator/(const std::string& name) const { return folder_ / name; }
  const std::filesystem::path& folder() const { return folder_; }

 private:
  std::filesystem::path folder_;
};

/// `text` with every occurrence of the folder's path removed, for comparing messages.
inline std::string without(std::string text, const std::string& part) {
  for (size_t at = text.find(part); at != text.npos; at = text.find(part))
    text.erase(at, part.size());
  return text;
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != text.npos;
}

}  // namespace qtk::config
