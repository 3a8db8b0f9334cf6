// qtk: parse the verb, run it, turn errors into one sentence and the documented exit code.
#include "base/nearest_name.hpp"
#include "command_line.hpp"
#include "verb.hpp"

#include <qtk/runtime/error.hpp>
#include <qtk/version.hpp>

#include <c10/util/Exception.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <new>
#include <string_view>
#include <vector>

namespace qtk::app {
namespace {

struct Verb {
  std::string_view name, summary;
  int (*run)(Arguments);
};

constexpr Verb kVerbs[] = {
    {"run", "run the stages of a configuration, resuming where an earlier run stopped", run},
    {"launch", "run a verb in several processes that form one run", launch},
    {"validate", "check configurations without running them", validate},
    {"list", "plugins that were found", list},
    {"describe", "options of a plugin, with defaults, ranges and units", describe},
    {"import", "make a Hugging Face folder of a GGUF file", import},
    {"eval", "perplexity of a model on a text", evaluate},
    {"export", "write a model in another library's format", export_model},
    {"tokenize", "make token shards of texts, for many training runs", tokenize},
    {"inspect", "tensors, sizes and token ids of a model", inspect},
    {"simulate", "the time of a training step of many ranks, before there are machines for it",
     simulate},
    {"bench", "measure compressors and links", bench},
    {"doctor", "what this machine and this installation offer", doctor},
    {"schema", "JSON Schema of the configuration, for editors", schema},
    {"plugin-probe", "", probe_plugin},
};

void show_overview() {
  std::cout << "qtk " QTK_VERSION
               ": low-bit training and compression of transformer models\n\n"
               "Usage: qtk VERB [arguments]      qtk VERB --help\n\n";
  for (const Verb& verb : kVerbs)
    if (!verb.summary.empty())
      std::cout << "  " << verb.name << std::string(10 - verb.name.size(), ' ') << verb.summary
                << "\n";
  std::cout
      << "\nExample:\n  qtk run configs/quickstart.yaml --set quantizer.options.group_size=32\n";
}

const Verb& verb_named(const std::string& name) {
  std::vector<std::string> known;
  for (const Verb& verb : kVerbs) {
    if (verb.name == name) return verb;
    if (!verb.summary.empty()) known.emplace_back(verb.name);
  }
  const std::string nearest = nearest_name(name, known);
  throw ConfigError(
      "unknown verb '" + name + "'" + (nearest.empty() ? "" : "; did you mean '" + nearest + "'?"),
      "verbs: " + join(known));
}

int dispatch(const std::vector<std::string>& words) {
  if (words.empty() || words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    show_overview();
    return words.empty() ? static_cast<int>(ExitCode::kConfig) : 0;
  }
  if (words[0] == "--version") {
    std::cout << "qtk " QTK_VERSION " (LibTorch " QTK_TORCH_VERSION ")\n";
    return 0;
  }
  try {
    return verb_named(words[0]).run(Arguments(words).subspan(1));
  } catch (const HelpShown&) {
    return 0;
  }
}

/// What was printed must have arrived, or a script takes an empty file for a result.
void require_output() {
  std::cout.flush();
  if (!std::cout || std::fflush(stdout) != 0)
    throw IoError("cannot write to the standard output",
                  "check where it goes; the disk may be full");
}

/// Ends the process and takes nothing down: after an error threads may wait for peers that are
/// gone, and LibTorch forgets its operators one by one, for a quarter of the time of a short
/// command.
[[noreturn]] void leave(int code) {
  std::fflush(nullptr);
  std::_Exit(code);
}

[[noreturn]] void fail(std::string_view area, std::string_view sentence, std::string_view remedy,
                       ExitCode code) {
  std::cerr << "error[" << area << "]: " << sentence << "\n";
  if (!remedy.empty()) std::cerr << "   " << remedy << "\n";
  std::cout.flush();
  leave(static_cast<int>(code));
}

}  // namespace

void require_verb(const std::string& name) { verb_named(name); }

}  // namespace qtk::app

int main(int count, char** words) {
  using qtk::ExitCode;
  using qtk::app::fail;
  try {
    const int code = qtk::app::dispatch({words + 1, words + count});
    qtk::app::require_output();
    qtk::app::leave(code);
  } catch (const qtk::Error& error) {
    fail(error.area(), error.what(), error.remedy(), error.code());
  } catch (const std::bad_alloc&) {
    fail("oom", "out of host memory", "use a smaller batch or model", ExitCode::kMemory);
  } catch (const c10::OutOfMemoryError& error) {
    fail("oom", error.what_without_backtrace(), "use a smaller batch", ExitCode::kMemory);
  } catch (const c10::Error& error) {
    fail("run", error.what_without_backtrace(), "", ExitCode::kFailed);
  } catch (const std::exception& error) {
    fail("run", error.what(), "", ExitCode::kFailed);
  }
}
