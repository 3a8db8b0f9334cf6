#include "plugin/registry.hpp"

#include "plugin/guarded.hpp"
#include "plugin/run_context.hpp"
#include "plugin_files.hpp"

#include <qtk/runtime/error.hpp>
#include <qtk/testing/plugin_under_test.hpp>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace qtk::plugin {
namespace {

class RegistryTest : public ::testing::Test {
 protected:
  void SetUp() override { look_in({QTK_TEST_PLUGIN_PATH}); }
  void look_in(std::vector<fs::path> paths) {
    registry_.configure({.plugin_paths = std::move(paths)});
  }
  std::string refusal(const std::string& id, const std::string& kind = "scheduler") {
    return sentence_of<PluginError>([&] { registry_.find(kind, id); });
  }
  const PluginListing* listing(const std::vector<PluginListing>& list, const fs::path& file) {
    const auto found = std::ranges::find(list, file, &PluginListing::file);
    return found == list.end() ? nullptr : &*found;
  }

  const EnvironmentVariable unset_{"QTK_PLUGIN_PATH", nullptr};
  const TemporaryFolder folder_;
  Registry registry_;
  CoreRunContext context_{{}};
};

TEST_F(RegistryTest, MakesAnObjectOfTheInterface) {
  const auto scheduler = registry_.make<Scheduler>("sound", {{"level", 2.5}}, context_);

  EXPECT_EQ(scheduler->value("lr", 0, nullptr), 2.5);
  EXPECT_EQ(scheduler->knobs().front().name, "lr");
  EXPECT_EQ(scheduler.get_deleter().name().id, "sound");
}

TEST_F(RegistryTest, PluginIsMadeWithTheGivenContextAndDestroyedByItsOwnLibrary) {
  std::vector<std::string> metrics;
  CoreRunContext context({.metric = [&](std::string_view name, double value, int64_t) {
    metrics.push_back(std::string(name) + " " + std::to_string(value));
  }});

  std::shared_ptr<Scheduler> scheduler =
      registry_.make<Scheduler>("sound", {{"level", 3.0}}, context);
  EXPECT_EQ(metrics, (std::vector<std::string>{"made 3.000000"}));

  scheduler.reset();
  EXPECT_EQ(metrics, (std::vector<std::string>{"made 3.000000", "destroyed 3.000000"}));
}

TEST_F(RegistryTest, OptionTableComesFromThePlugin) {
  const OptionTable& table = registry_.option_table("scheduler", "sound");

  ASSERT_EQ(table.specs.size(), 1u);
  EXPECT_EQ(table.specs[0].name, "level");
  EXPECT_EQ(table.specs[0].doc, "The value of the knob.");
  EXPECT_EQ(std::get<double>(table.specs[0].default_value), 1.0);
}

TEST_F(RegistryTest, SecondFindGivesTheSameLibrary) {
  EXPECT_EQ(&registry_.find("scheduler", "sound"), &registry_.find("scheduler", "sound"));
}

TEST_F(RegistryTest, PluginMayBeNamedByItsFile) {
  look_in({});
  const fs::path file = built_plugin("scheduler", "sound");

  EXPECT_EQ(registry_.find("scheduler", file.string()).name().id, "sound");
  EXPECT_CONTAINS(refusal(file.string(), "quantizer"),
                  "holds the scheduler 'sound', expected a quantizer");
  EXPECT_CONTAINS(refusal("/no/such.so"), "cannot find the plugin file /no/such.so: No such file");
}

TEST_F(RegistryTest, ValuesAreHeldAgainstTheTable) {
  const auto error = [&](OptionValues values) {
    return sentence_of<ConfigError>([&] { registry_.make<Scheduler>("sound", values, context_); });
  };

  EXPECT_CONTAINS(error({{"level", 11.0}}), "option 'level' = 11");
  EXPECT_CONTAINS(error({{"level", 11.0}}), "is outside [0");
  EXPECT_CONTAINS(error({{"level", 11.0}}), "of plugin 'sound' (scheduler)");
  EXPECT_CONTAINS(error({{"level", int64_t{1}}}), "option 'level' = 1 is");
  EXPECT_CONTAINS(error({{"lebel", 1.0}}), "unknown option 'lebel'; did you mean 'level'?");
}

TEST_F(RegistryTest, UnknownNameIsAnsweredWithTheNearestTheKnownAndTheSearched) {
  const std::string text = refusal("soond");

  EXPECT_CONTAINS(text, "unknown scheduler 'soond'; did you mean 'sound'?\n  known     ");
  EXPECT_CONTAINS(text, ", faulty_scheduler, ");
  EXPECT_CONTAINS(text, ", sound, ");
  EXPECT_CONTAINS(text, std::string("\n  searched  ") + QTK_TEST_PLUGIN_PATH);
  EXPECT_CONTAINS(text, "QTK_PLUGIN_PATH (unset)");
}

TEST_F(RegistryTest, NameOfAnotherKindIsRecognised) {
  EXPECT_CONTAINS(refusal("sound", "quantizer"),
                  "unknown quantizer 'sound'; 'sound' is a scheduler\n");
}

TEST_F(RegistryTest, TwoFilesOfOneNameInOneRootAreRefusedNamingBoth) {
  const std::string sound = content_of(built_plugin("scheduler", "sound"));
  write_content(folder_ / "one.so", sound);
  write_content(folder_ / "scheduler/two.so", sound);
  look_in({folder_.path()});

  const std::string text = refusal("sound");

  EXPECT_EQ(text, "scheduler 'sound' is there twice in " + folder_.path().string() + ": " +
                      (folder_ / "scheduler/two.so").string() + " and " +
                      (folder_ / "one.so").string());
  EXPECT_CONTAINS(registry_.list().front().problem, "is there twice");
}

TEST_F(RegistryTest, FirstRootWins) {
  const std::string sound = content_of(built_plugin("scheduler", "sound"));
  write_content(folder_ / "a/sound.so", sound);
  write_content(folder_ / "b/sound.so", sound);
  look_in({folder_ / "b", folder_ / "a"});

  EXPECT_EQ(registry_.find("scheduler", "sound").name().file, folder_ / "b/sound.so");
  const auto list = registry_.list();
  EXPECT_FALSE(listing(list, folder_ / "b/sound.so")->is_hidden);
  EXPECT_TRUE(listing(list, folder_ / "a/sound.so")->is_hidden);
  EXPECT_EQ(listing(list, folder_ / "a/sound.so")->problem, "");
}

TEST_F(RegistryTest, ListRunsNoPluginCode) {
  const auto list = registry_.list();

  const PluginListing* crashing =
      listing(list, fs::canonical(built_plugin("scheduler", "crashes_at_load")));
  ASSERT_NE(crashing, nullptr);
  EXPECT_EQ(crashing->manifest->name, "crashes_at_load");
  EXPECT_EQ(crashing->origin, "plugin path");
}

TEST_F(RegistryTest, ListSaysWhatCannotBeUsed) {
  const std::string sound = content_of(built_plugin("scheduler", "sound"));
  write_content(folder_ / "old.so", patched_manifest(sound, "torch=2.11.0", "torch=2.10.0"));
  write_content(folder_ / "text.so", "text");
  look_in({folder_.path()});

  const auto list = registry_.list();

  EXPECT_EQ(listing(list, folder_ / "old.so")->problem,
            "built for a different LibTorch: expected torch=2.11.0, found torch=2.10.0");
  EXPECT_CONTAINS(listing(list, folder_ / "text.so")->problem, "is not a shared library");
}

TEST_F(RegistryTest, DamagedFileOfTheRightNameIsWhatTheUserMeans) {
  const fs::path file = folder_ / "quantizer/libqtk_quantizer_mine.so";
  look_in({folder_.path()});
  for (const auto& [content, expected] :
       {std::pair{"", "is empty"}, std::pair{"#!/bin/sh", "is not a shared library"}}) {
    write_content(file, content);
    look_in({folder_.path()});

    EXPECT_CONTAINS(refusal("mine", "quantizer"), file.string() + " " + expected);
  }
}

TEST_F(RegistryTest, IncompatiblePluginsAreRefusedBeforeTheyAreOpened) {
  // Opening this one would end the test.
  const std::string crashing = content_of(built_plugin("scheduler", "crashes_at_load"));
  struct Case {
    const char *from, *to, *expected;
  };
  const Case cases[] = {
      {"qtk_api=1.0", "qtk_api=2.0", "a different qtk API\n"},
      {"qtk_api=1.0", "qtk_api=1.1", "a different qtk API\n"},
      {"torch=2.11.0", "torch=2.10.0", "a different LibTorch\n"},
      {"cxx11abi=1", "cxx11abi=0", "a different C++ ABI\n"},
  };
  for (const Case& c : cases) {
    write_content(folder_ / "x.so", patched_manifest(crashing, c.from, c.to));
    look_in({folder_.path()});

    const std::string text = refusal("crashes_at_load");

    EXPECT_CONTAINS(
        text, std::string("plugin 'crashes_at_load' (scheduler) was built for ") + c.expected);
    EXPECT_CONTAINS(text, "\n  file      " + (folder_ / "x.so").string());
    EXPECT_CONTAINS(text, std::string("\n  expected  ") + c.from);
    EXPECT_CONTAINS(text, std::string("\n  found     ") + c.to);
  }
}

TEST_F(RegistryTest, PluginThatCallsItselfOtherwiseThanItsManifestIsRefused) {
  write_content(folder_ / "x.so", patched(content_of(built_plugin("scheduler", "sound")),
                                          "\nname=sound", "\nname=other"));
  look_in({folder_.path()});

  EXPECT_CONTAINS(refusal("other"),
                  "plugin 'other' (scheduler) calls itself 'sound' (scheduler) once it is opened");
}

TEST_F(RegistryTest, MissingSymbolIsFoundWhenOpening) {
  const std::string text = refusal("undefined_symbol");

  EXPECT_EQ(text,
            "plugin 'undefined_symbol' (scheduler) cannot be opened: undefined symbol "
            "missing_library::compute(int)\n  file      " +
                fs::canonical(built_plugin("scheduler", "undefined_symbol")).string());
}

TEST_F(RegistryTest, FileThatTheLoaderRefusesIsRefusedInItsWords) {
  std::string bytes = content_of(built_plugin("scheduler", "sound"));
  bytes.replace(bytes.find("libqtk.so"), 9, "libqt9.so");
  write_content(folder_ / "x.so", bytes);
  look_in({folder_.path()});

  EXPECT_CONTAINS(
      refusal("sound"),
      "cannot be opened: libqt9.so: cannot open shared object file: No such file or directory\n");
}

TEST_F(RegistryTest, OptionWithoutASentenceIsRefused) {
  EXPECT_CONTAINS(refusal("undocumented_option"),
                  "declares an option 'depth' without a doc() sentence");
}

TEST_F(RegistryTest, NullFromCreateIsAnError) {
  EXPECT_EQ(
      sentence_of<PluginError>([&] { registry_.make<Scheduler>("returns_null", {}, context_); }),
      "plugin 'returns_null' (scheduler) could not be constructed: it returned no object and no "
      "reason\n"
      "  file      " +
          fs::canonical(built_plugin("scheduler", "returns_null")).string());
}

TEST_F(RegistryTest, ErrorOfAConstructorKeepsItsFamilyAndNamesThePlugin) {
  const auto make = [&](const char* error) {
    registry_.make<Scheduler>("throws_in_constructor", {{"error", std::string(error)}}, context_);
  };
  const std::string file =
      "\n  file      " + fs::canonical(built_plugin("scheduler", "throws_in_constructor")).string();
  const std::string begin = "plugin 'throws_in_constructor' (scheduler) could not be constructed: ";

  EXPECT_EQ(sentence_of<DataError>([&] { make("data"); }),
            begin + "the table has 3 rows, expected 4" + file);
  const std::string torch = sentence_of<Error>([&] { make("torch"); });
  EXPECT_EQ(torch, begin + "a tensor is not what it should be" + file);
  EXPECT_CONTAINS(sentence_of<Error>([&] { make("number"); }),
                  "threw something that is not a std::exception");
  try {
    make("memory");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kMemory);
  }
}

TEST_F(RegistryTest, ErrorOfAMethodNamesPluginAndMethod) {
  const auto scheduler = registry_.make<Scheduler>("throws_in_method", {}, context_);

  const auto call = [&] {
    guarded(scheduler.get_deleter().name(), "value",
            [&] { return scheduler->value("lr", 0, nullptr); });
  };

  EXPECT_EQ(sentence_of<Error>(call),
            "plugin 'throws_in_method' (scheduler), value: no row for lr");
}

TEST_F(RegistryTest, ForeignPluginIsProbedFirst) {
  const TemporaryFolder cache;
  registry_.configure({.plugin_paths = {QTK_TEST_PLUGIN_PATH},
                       .probe = {.executable = QTK_PROBE_PROGRAM,
                                 .limit = std::chrono::seconds(60),
                                 .cache_folder = cache.path()}});

  EXPECT_CONTAINS(refusal("crashes_at_load"), "crashed while being opened: signal 11");
  EXPECT_EQ(registry_.find("scheduler", "sound").name().id, "sound");
  EXPECT_EQ(std::distance(fs::directory_iterator(cache.path()), {}), 1);
}

TEST_F(RegistryTest, ProcessHasOneRegistry) { EXPECT_EQ(&registry(), &registry()); }

}  // namespace
}  // namespace qtk::plugin
