// What the tests of the text room share: folders for files, the golden data and the check of a
// message.
#pragma once

#include "text/json_field.hpp"

#include <qtk/runtime/error.hpp>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace qtk::text::testing {

/// A fresh folder of the running test.
inline std::filesystem::path fresh_folder(const std::string& name = "data") {
  const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
  const auto folder = std::filesystem::path(::testing::TempDir()) / "qtk_text" /
                      (std::string(test->test_suite_name()) + "." + test->name()) / name;
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  return folder;
}

inline void write_text(const std::filesystem::path& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

inline std::string read_text(const std::filesystem::path& path) {
  std::ostringstream content;
  content << std::ifstream(path, std::ios::binary).rdbuf();
  return content.str();
}

inline nlohmann::json read_golden(const std::string& name) {
  return nlohmann::json::parse(
      read_text(std::filesystem::path(QTK_SOURCE_DIR) / "tests/golden/text" / (name + ".json")));
}

/// The tokenizer.json of a golden case: its base with a patch (see make_text_golden.py).
inline nlohmann::json golden_tokenizer(const std::string& base, const nlohmann::json& patch = {}) {
  nlohmann::json tokenizer = read_golden(base);
  for (const auto& [key, value] : patch.items()) {
    if (key == "model") {
      tokenizer["model"].merge_patch(value);
    } else {
      tokenizer[key] = value;
    }
  }
  return tokenizer;
}

/// A folder that holds `tokenizer` as tokenizer.json.
inline std::filesystem::path folder_with(const nlohmann::json& tokenizer,
                                         const std::string& name = "data") {
  const auto folder = fresh_folder(name);
  write_text(folder / "tokenizer.json", tokenizer.dump());
  return folder;
}

/// The message of the error of type E that `action` throws; "" with a failure if it throws none.
template <class E = DataError, class Action>
std::string message_of(const Action& action) {
  try {
    action();
  } catch (const E& error) {
    return error.what();
  }
  ADD_FAILURE() << "expected an error";
  return {};
}

/// A field for the readers of single components; the document lives as long as the object.
class Field {
 public:
  explicit Field(const std::string& content) : document_(nlohmann::json::parse(content)) {}
  JsonField operator*() const { return JsonField(document_, "t.json", "field"); }

 private:
  nlohmann::json document_;
};

}  // namespace qtk::text::testing
