// Plugin files for tests: the ones that were built, and changed copies of them in a folder of the
// test's own.
#pragma once

#include "temporary_folder.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

namespace qtk::plugin {

namespace fs = std::filesystem;

/// What was built for tests.
inline fs::path built_plugin(const std::string& kind, const std::string& id) {
  return fs::path(QTK_TEST_PLUGIN_PATH) / kind / ("libqtk_" + kind + "_" + id + ".so");
}

inline std::string content_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void write_content(const fs::path& file, std::string_view content) {
  fs::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary)
      .write(content.data(), static_cast<std::streamsize>(content.size()));
}

/// Replaces the first occurrence by a text of the same length.
inline std::string patched(std::string content, const std::string& from, const std::string& to) {
  const size_t at = content.find(from);
  EXPECT_NE(at, content.npos) << from;
  EXPECT_EQ(from.size(), to.size());
  if (at != content.npos) content.replace(at, to.size(), to);
  return content;
}

/// The same within the manifest; the text may occur earlier in the file, too.
inline std::string patched_manifest(const std::string& content, const std::string& from,
                                    const std::string& to) {
  const size_t manifest = content.find("qtk_manifest=1");
  return content.substr(0, manifest) + patched(content.substr(manifest), from, to);
}

/// Sets or unsets a variable of the environment for its own life.
class EnvironmentVariable {
 public:
  EnvironmentVariable(std::string name, const char* value) : name_(std::move(name)) {
    if (const char* before = std::getenv(name_.c_str())) before_ = before, was_set_ = true;
    if (value)
      ::setenv(name_.c_str(), value, 1);
    else
      ::unsetenv(name_.c_str());
  }
  ~EnvironmentVariable() {
    if (was_set_)
      ::setenv(name_.c_str(), before_.c_str(), 1);
    else
      ::unsetenv(name_.c_str());
  }
  EnvironmentVariable(const EnvironmentVariable&) = delete;
  EnvironmentVariable& operator=(const EnvironmentVariable&) = delete;

 private:
  std::string name_, before_;
  bool was_set_ = false;
};

/// The sentence of the error that `function` throws; empty if it throws none.
template <class Error, class Function>
std::string sentence_of(Function&& function) {
  try {
    function();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

}  // namespace qtk::plugin

#define EXPECT_CONTAINS(text, part)                          \
  EXPECT_NE(std::string(text).find(part), std::string::npos) \
      << "text: " << (text) << "\npart: " << (part)
