// The child's side of a probe.
#include "plugin/plugin_library.hpp"
#include "plugin/probe.hpp"
#include "plugin/probe_record.hpp"
#include "plugin/run_context.hpp"

#include <qtk/runtime/error.hpp>

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>

namespace qtk::plugin {
namespace {

/// Writes only if the descriptor is the pipe of a probing parent, and not some file that a shell
/// left open.
void record(std::string_view text) {
  struct stat status {};
  if (::fstat(kRecordDescriptor, &status) != 0 || !S_ISFIFO(status.st_mode)) return;
  while (!text.empty()) {
    const ssize_t written = ::write(kRecordDescriptor, text.data(), text.size());
    if (written <= 0) return;
    text.remove_prefix(static_cast<size_t>(written));
  }
}

/// The child must not outlive its parent, nor leave a core file for a crash that was expected.
void tie_to_parent() {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  constexpr rlimit kNothing{0, 0};
  ::setrlimit(RLIMIT_CORE, &kNothing);
}

/// An error is no failure: the defaults may lack something that every run must give.
void try_to_construct(const PluginLibrary& library) {
  CoreRunContext context({});
  try {
    library.destroy(library.create({}, context));
  } catch (const Error&) {
  }
}

}  // namespace

int run_probe(const std::filesystem::path& file) {
  tie_to_parent();
  try {
    record("at=opening\n");
    PluginLibrary library(file, read_manifest(file));
    record("at=describing\n");
    library.describe();
    record("at=constructing\n");
    try_to_construct(library);
    record("passed\n");
    return static_cast<int>(ExitCode::kOk);
  } catch (const Error& error) {
    record("failed\n" + std::string(error.what()) + std::string(1, '\0') + error.remedy());
    return static_cast<int>(error.code());
  }
}

}  // namespace qtk::plugin
