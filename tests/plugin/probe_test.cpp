#include "plugin/probe.hpp"

#include "plugin/child_process.hpp"
#include "plugin/probe_cache.hpp"
#include "plugin/probe_record.hpp"
#include "plugin_files.hpp"

#include <qtk/runtime/error.hpp>

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

namespace qtk::plugin {
namespace {

using namespace std::chrono_literals;

PluginName scheduler(const std::string& id) {
  return {"scheduler", id, built_plugin("scheduler", id)};
}

class Probe : public ::testing::Test {
 protected:
  std::string refusal(const std::string& id, std::chrono::milliseconds limit = 60s) const {
    return sentence_of<PluginError>([&] { require_probe(scheduler(id), options(limit)); });
  }
  ProbeOptions options(std::chrono::milliseconds limit = 60s) const {
    return {.executable = QTK_PROBE_PROGRAM, .limit = limit, .cache_folder = cache_.path()};
  }
  std::vector<std::string> entries() const {
    std::vector<std::string> texts;
    for (const auto& entry : fs::directory_iterator(cache_.path()))
      texts.push_back(content_of(entry.path()));
    return texts;
  }
  std::string file_line(const std::string& id) const {
    return "\n  file      " + built_plugin("scheduler", id).string();
  }

  const TemporaryFolder cache_;
};

TEST_F(Probe, SoundPluginPassesAndIsRemembered) {
  require_probe(scheduler("sound"), options());

  ASSERT_EQ(entries().size(), 1u);
  EXPECT_CONTAINS(entries().front(), "state=passed");
}

TEST_F(Probe, RememberedPassStartsNoChild) {
  require_probe(scheduler("sound"), options());
  ProbeOptions without_program = options();
  without_program.executable = "/no/such/program";

  EXPECT_NO_THROW(require_probe(scheduler("sound"), without_program));
}

TEST_F(Probe, ChangedFileIsProbedAgain) {
  const TemporaryFolder folder;
  const fs::path file = folder / "sound.so";
  fs::copy_file(built_plugin("scheduler", "sound"), file);
  require_probe({"scheduler", "sound", file}, options());

  write_content(file, content_of(built_plugin("scheduler", "exits_at_load")));

  EXPECT_THROW(require_probe({"scheduler", "sound", file}, options()), PluginError);
}

TEST_F(Probe, UnwritableCacheOnlyCostsTime) {
  ProbeOptions elsewhere = options();
  elsewhere.cache_folder = "/proc/no/such/folder";

  EXPECT_NO_THROW(require_probe(scheduler("sound"), elsewhere));
}

TEST_F(Probe, DamagedCacheEntryCountsAsNone) {
  require_probe(scheduler("sound"), options());
  for (const auto& entry : fs::directory_iterator(cache_.path()))
    write_content(entry.path(), "\0\xff state=passed");

  require_probe(scheduler("sound"), options());

  EXPECT_CONTAINS(entries().front(), "state=passed\n");
}

TEST_F(Probe, NoExecutableMeansNoProbe) {
  ProbeOptions off = options();
  off.executable.clear();

  EXPECT_NO_THROW(require_probe(scheduler("crashes_at_load"), off));
}

TEST_F(Probe, MissingSymbolIsNamed) {
  EXPECT_EQ(refusal("undefined_symbol"),
            "plugin 'undefined_symbol' (scheduler) cannot be opened: undefined symbol "
            "missing_library::compute(int)" +
                file_line("undefined_symbol"));
}

TEST_F(Probe, CrashIsNamedWithItsSignal) {
  EXPECT_EQ(refusal("crashes_at_load"),
            "plugin 'crashes_at_load' (scheduler) crashed while being opened: signal 11 "
            "(Segmentation fault)" +
                file_line("crashes_at_load"));
}

TEST_F(Probe, ThrowingInitialiserIsNamedWithItsWords) {
  const std::string text = refusal("throws_in_initialiser");

  // Whether the exception passes dlopen() or ends the child depends on how libc was compiled.
  EXPECT_CONTAINS(text, "plugin 'throws_in_initialiser' (scheduler) ");
  EXPECT_CONTAINS(text, "while being opened: ");
  EXPECT_CONTAINS(text, "thrown before main");
}

TEST_F(Probe, CrashInAConstructorIsNamed) {
  EXPECT_CONTAINS(refusal("crashes_in_constructor"),
                  "crashed while being constructed with its default options: signal 8 (Floating "
                  "point exception)");
}

TEST_F(Probe, ExitWithSuccessIsAFailure) {
  EXPECT_EQ(refusal("exits_at_load"),
            "plugin 'exits_at_load' (scheduler) ended the process while being opened: it "
            "called exit(0)" +
                file_line("exits_at_load"));
}

TEST_F(Probe, EndlessLoopIsEndedAtTheLimit) {
  const auto begin = std::chrono::steady_clock::now();

  const std::string text = refusal("loops_at_load", 1500ms);

  EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s);
  EXPECT_CONTAINS(text, "plugin 'loops_at_load' (scheduler) hung while ");
  EXPECT_CONTAINS(text, "it did not finish within 1500 ms");
}

TEST_F(Probe, UndocumentedOptionIsRefused) {
  EXPECT_EQ(refusal("undocumented_option"),
            "plugin 'undocumented_option' (scheduler) declares an option 'depth' "
            "without a doc() sentence" +
                file_line("undocumented_option"));
}

TEST_F(Probe, ErrorOfAConstructorIsLeftToTheRun) {
  EXPECT_EQ(refusal("throws_in_constructor"), "");
}

TEST_F(Probe, FailureIsNotRememberedAndLeavesNoMark) {
  refusal("exits_at_load");

  EXPECT_TRUE(entries().empty());
}

TEST_F(Probe, ProgramThatIsNoProbeIsNamed) {
  ProbeOptions wrong = options();
  wrong.executable = "/bin/true";
  EXPECT_CONTAINS(sentence_of<PluginError>([&] { require_probe(scheduler("sound"), wrong); }),
                  "could not be probed: /bin/true exited with code 0 before it began");

  wrong.executable = "/no/such/program";
  EXPECT_CONTAINS(sentence_of<IoError>([&] { require_probe(scheduler("sound"), wrong); }),
                  "cannot start /no/such/program: No such file or directory");
}

/// Starts a process that probes `id` and kills it while the child is at work.
void die_while_probing(const std::string& id, const fs::path& cache) {
  const std::string file = built_plugin("scheduler", id).string();
  const pid_t pid = ::fork();
  if (pid == 0)
    ::execl(QTK_PROBE_PROGRAM, QTK_PROBE_PROGRAM, "require-probe", file.c_str(), cache.c_str(),
            nullptr);
  const auto has_mark = [&] {
    for (const auto& entry : fs::directory_iterator(cache))
      if (entry.path().string().find(".tmp-") == std::string::npos &&
          content_of(entry.path()).find(" " + std::to_string(pid) + " ") != std::string::npos)
        return true;
    return false;
  };
  for (int i = 0; i < 6000 && !has_mark(); ++i) std::this_thread::sleep_for(5ms);
  EXPECT_TRUE(has_mark());
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
}

TEST_F(Probe, PluginWhoseProbesTookTheProcessWithThemIsQuarantined) {
  die_while_probing("loops_at_load", cache_.path());
  die_while_probing("loops_at_load", cache_.path());

  EXPECT_EQ(refusal("loops_at_load"),
            "plugin 'loops_at_load' (scheduler) is quarantined: 2 earlier probes never came to an "
            "end, the process died "
            "with them" +
                file_line("loops_at_load"));
}

TEST_F(Probe, MarkOfARunningProbeIsNoFailure) {
  const ProbeCache cache(cache_.path());
  cache.begin("key", "/x.so", 0);

  EXPECT_EQ(cache.unfinished("key"), 0);
  EXPECT_FALSE(cache.has_passed("key"));

  cache.forget("key");
  EXPECT_TRUE(entries().empty());
}

TEST(ProbeCachePath, FollowsTheEnvironment) {
  const EnvironmentVariable cache("XDG_CACHE_HOME", "/c"), home("HOME", "/h");
  EXPECT_EQ(default_probe_cache(), "/c/qtk/probes");
  {
    const EnvironmentVariable relative("XDG_CACHE_HOME", "relative");
    EXPECT_EQ(default_probe_cache(), "/h/.cache/qtk/probes");
    const EnvironmentVariable homeless("HOME", nullptr);
    EXPECT_EQ(default_probe_cache(), "");
  }
}

TEST(ProbeRecord, OnlyACompletePassCounts) {
  EXPECT_TRUE(parse_probe_record("at=opening\nat=constructing\npassed\n").has_passed);
  EXPECT_FALSE(parse_probe_record("at=opening\npassed").has_passed);
  EXPECT_FALSE(parse_probe_record("").has_passed);
  EXPECT_EQ(parse_probe_record("at=opening\nat=descr").phase, "opening");
}

TEST(ProbeRecord, FailureCarriesItsSentenceAndRemedy) {
  const ProbeRecord record =
      parse_probe_record(std::string_view("at=opening\nfailed\ntwo\nlines\0fix it", 34));

  EXPECT_TRUE(record.has_failed);
  EXPECT_EQ(record.sentence, "two\nlines");
  EXPECT_EQ(record.remedy, "fix it");
}

TEST(ChildProcess, TellsHowTheChildEndedAndWhatItSaid) {
  const ChildResult ended =
      run_child({"/bin/sh", "-c", "echo record >&3; echo error >&2; exit 5"}, 60s);
  EXPECT_EQ(ended.exit_code, 5);
  EXPECT_EQ(ended.signal, 0);
  EXPECT_EQ(ended.record, "record\n");
  EXPECT_EQ(ended.errors, "error\n");

  EXPECT_EQ(run_child({"/bin/sh", "-c", "kill -9 $$"}, 60s).signal, SIGKILL);
}

TEST(ChildProcess, EndsTheGrandchildrenToo) {
  const TemporaryFolder folder;
  const std::string file = (folder / "pid").string();

  const ChildResult result =
      run_child({"/bin/sh", "-c", "sleep 100 & echo $! > " + file + "; wait"}, 1500ms);

  EXPECT_TRUE(result.has_timed_out);
  const pid_t grandchild = std::stoi(content_of(file));
  for (int i = 0;
       i < 400 && ::kill(grandchild, 0) == 0 &&
       content_of("/proc/" + std::to_string(grandchild) + "/stat").find(") Z") == std::string::npos;
       ++i)
    std::this_thread::sleep_for(5ms);
  EXPECT_TRUE(::kill(grandchild, 0) != 0 ||
              content_of("/proc/" + std::to_string(grandchild) + "/stat").find(") Z") !=
                  std::string::npos);
}

TEST(ChildProcess, WordyChildNeitherBlocksNorFillsMemory) {
  const ChildResult result = run_child(
      {"/bin/sh", "-c",
       "i=0; while [ $i -lt 4000 ]; do echo 0123456789012345678901234567890123456789 >&2; "
       "echo 0123456789012345678901234567890123456789 >&3; i=$((i+1)); done; echo last >&2"},
      60s);

  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.record.size(), size_t{64 << 10});
  EXPECT_EQ(result.errors.size(), size_t{16 << 10});
  EXPECT_TRUE(result.errors.ends_with("last\n"));
}

}  // namespace
}  // namespace qtk::plugin
