#include "plugin/search_path.hpp"

#include "plugin_files.hpp"

#include <qtk/runtime/error.hpp>

#include <gtest/gtest.h>

namespace qtk::plugin {
namespace {

std::vector<fs::path> paths_of(const std::vector<PluginRoot>& roots) {
  std::vector<fs::path> paths;
  for (const PluginRoot& root : roots) paths.push_back(root.path);
  return paths;
}

class SearchPath : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"a", "b", "c"}) fs::create_directories(folder_ / name);
  }

  const EnvironmentVariable unset_{"QTK_PLUGIN_PATH", nullptr};
  const TemporaryFolder folder_;
};

TEST_F(SearchPath, ExplicitPathsComeBeforeTheEnvironmentBeforeTheLibrarysOwnFolder) {
  const EnvironmentVariable variable("QTK_PLUGIN_PATH", (folder_ / "b").c_str());
  const std::vector<fs::path> given = {folder_ / "c", folder_ / "a"};

  const auto roots = search_roots(given);

  ASSERT_GE(roots.size(), 3u);
  EXPECT_EQ(roots[0].path, folder_ / "c");
  EXPECT_EQ(roots[1].path, folder_ / "a");
  EXPECT_EQ(roots[2].path, folder_ / "b");
  EXPECT_EQ(roots[1].origin, "plugin path");
  EXPECT_EQ(roots[2].origin, "QTK_PLUGIN_PATH");
  const fs::path built_in = own_library().parent_path() / "qtk/plugins";
  if (fs::exists(built_in)) {
    EXPECT_EQ(roots.back().path, built_in);
    EXPECT_TRUE(roots.back().is_built_in);
  }
}

TEST_F(SearchPath, VariableIsAListAndItsEmptyEntriesAreNotTheWorkingDirectory) {
  const std::string value = ":" + (folder_ / "a").string() + "::" + (folder_ / "b").string() + ":";
  const EnvironmentVariable variable("QTK_PLUGIN_PATH", value.c_str());

  const auto paths = paths_of(search_roots({}));

  ASSERT_GE(paths.size(), 2u);
  EXPECT_EQ(paths[0], folder_ / "a");
  EXPECT_EQ(paths[1], folder_ / "b");
  EXPECT_EQ(std::ranges::find(paths, fs::current_path()), paths.end());
}

TEST_F(SearchPath, RelativeEntryOfTheVariableIsRefused) {
  const EnvironmentVariable variable("QTK_PLUGIN_PATH", "plugins");

  EXPECT_EQ(sentence_of<ConfigError>([] { search_roots({}); }),
            "QTK_PLUGIN_PATH holds the relative path 'plugins'");
}

TEST_F(SearchPath, MissingFolderIsRefusedIfNamedAndPassedOverInTheVariable) {
  const EnvironmentVariable variable("QTK_PLUGIN_PATH", (folder_ / "absent").c_str());
  const std::vector<fs::path> given = {folder_ / "gone"};

  EXPECT_EQ(std::ranges::count(paths_of(search_roots({})), folder_ / "absent"), 0);
  EXPECT_CONTAINS(sentence_of<ConfigError>([&] { search_roots(given); }),
                  "gone cannot be used: No such file");
}

TEST_F(SearchPath, RootGivenTwiceKeepsItsFirstPlace) {
  fs::create_directory_symlink(folder_ / "a", folder_ / "link");
  const std::vector<fs::path> given = {folder_ / "a", folder_ / "b", folder_ / "link",
                                       folder_ / "a/../a"};

  const auto paths = paths_of(search_roots(given));

  EXPECT_EQ(std::ranges::count(paths, folder_ / "a"), 1);
  EXPECT_EQ(paths[0], folder_ / "a");
}

TEST_F(SearchPath, LibrariesAreFoundInKindFoldersAndInTheRoot) {
  const std::string sound = content_of(built_plugin("scheduler", "sound"));
  write_content(folder_ / "a/scheduler/libqtk_scheduler_sound.so", sound);
  write_content(folder_ / "a/other.so", patched(sound, "\nname=sound", "\nname=other"));
  write_content(folder_ / "a/notes.txt", "not a library");
  write_content(folder_ / "a/scheduler/deeper/third.so", sound);
  const PluginRoot root{folder_ / "a", "plugin path"};

  const auto found = find_plugins({&root, 1});

  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].manifest->name, "sound");
  EXPECT_EQ(found[0].file, folder_ / "a/scheduler/libqtk_scheduler_sound.so");
  EXPECT_EQ(found[1].manifest->name, "other");
}

TEST_F(SearchPath, FileThatIsNoPluginIsFoundWithItsProblem) {
  write_content(folder_ / "a/broken.so", "");
  const PluginRoot root{folder_ / "a", "plugin path"};

  const auto found = find_plugins({&root, 1});

  ASSERT_EQ(found.size(), 1u);
  EXPECT_FALSE(found[0].manifest);
  EXPECT_CONTAINS(found[0].problem, "broken.so is empty");
}

TEST_F(SearchPath, FileReachedByALinkIsFoundOnce) {
  write_content(folder_ / "a/sound.so", content_of(built_plugin("scheduler", "sound")));
  fs::create_symlink(folder_ / "a/sound.so", folder_ / "a/alias.so");
  fs::create_symlink(folder_ / "gone.so", folder_ / "a/dangling.so");
  const PluginRoot root{folder_ / "a", "plugin path"};

  EXPECT_EQ(find_plugins({&root, 1}).size(), 1u);
}

TEST_F(SearchPath, RootMayBeOneFile) {
  const std::vector<fs::path> given = {built_plugin("scheduler", "sound")};
  const auto roots = search_roots(given);

  const auto found = find_plugins({roots.data(), 1});

  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].manifest->name, "sound");
}

TEST_F(SearchPath, SearchedTextSaysThatTheVariableIsUnset) {
  const PluginRoot root{folder_ / "a", "plugin path"};

  EXPECT_EQ(searched_text({&root, 1}), (folder_ / "a").string() + ", QTK_PLUGIN_PATH (unset)");
}

}  // namespace
}  // namespace qtk::plugin
