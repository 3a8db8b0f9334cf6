// What the tests of the stage room share: plugins, contexts, and the sentence of an error.
#pragma once

#include "plugin/registry.hpp"
#include "plugin/run_context.hpp"
#include "stage/packed_model.hpp"
#include "temporary_folder.hpp"
#include "tiny_model.hpp"

#include <qtk/runtime/error.hpp>

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

namespace qtk::stage {

namespace fs = std::filesystem;

/// Tiny products only lose by being split; and a process with one thread may fork.
inline const bool is_single_threaded = (at::set_num_threads(1), true);

/// A context for plugin objects; finds the plugins that were built with the library.
class TestContext {
 public:
  TestContext() : context_(plugin::RunContextInit{}) {
    plugin::registry().configure(plugin::default_load_options({}));
  }
  RunContext& operator*() { return context_; }

 private:
  plugin::CoreRunContext context_;
};

/// Sentence and remedy of the E that `action` throws.
template <class E, class Action>
std::string sentence_of(Action&& action) {
  try {
    action();
  } catch (const E& error) {
    return std::string(error.what()) + " | " + error.remedy();
  } catch (const std::exception& error) {
    ADD_FAILURE() << "another kind of error: " << error.what();
    return {};
  }
  ADD_FAILURE() << "no error";
  return {};
}

inline void expect_contains(const std::string& text, const std::vector<std::string>& fragments) {
  for (const auto& fragment : fragments)
    EXPECT_NE(text.find(fragment), std::string::npos)
        << "expected: ..." << fragment << "...\nin:       " << text;
}

inline std::string bytes_in(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// Contents of all files below `folder`, by relative path.
inline std::map<std::string, std::string> contents_of(const fs::path& folder) {
  std::map<std::string, std::string> contents;
  if (!fs::exists(folder)) return contents;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file())
      contents[fs::relative(entry.path(), folder).string()] = bytes_in(entry.path());
  return contents;
}

inline std::vector<std::string> leftovers_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& [name, content] : contents_of(folder))
    if (name.find(".tmp-") != std::string::npos) names.push_back(name);
  return names;
}

/// Some ids of the vocabulary, [2, 24].
inline at::Tensor sample_ids(int64_t vocabulary) {
  return (at::arange(48, at::kLong) * 37 + 5).remainder(vocabulary).reshape({2, 24});
}

inline bool bits_equal(const at::Tensor& a, const at::Tensor& b) {
  return a.scalar_type() == b.scalar_type() && at::equal(a, b);
}

}  // namespace qtk::stage
