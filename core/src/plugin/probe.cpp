#include "plugin/probe.hpp"

#include "base/hash.hpp"
#include "base/logging.hpp"
#include "plugin/child_process.hpp"
#include "plugin/probe_cache.hpp"
#include "plugin/probe_record.hpp"
#include "plugin/search_path.hpp"

#include <qtk/runtime/error.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <sstream>

namespace qtk::plugin {
namespace {

namespace fs = std::filesystem;

constexpr int kMostUnfinished = 2;

/// A pass holds for this file, loaded by this libqtk.so, on this host (marks name processes of the
/// host).
std::string cache_key(const fs::path& file) {
  std::string text = fingerprint_file(file);
  struct stat status {};
  if (::stat(own_library().c_str(), &status) == 0)
    text += " " + std::to_string(status.st_size) + " " + std::to_string(status.st_mtim.tv_sec) +
            "." + std::to_string(status.st_mtim.tv_nsec);
  char host[256] = {};
  ::gethostname(host, sizeof host - 1);
  return fingerprint(text + " " + host);
}

std::string phase_text(const std::string& phase) {
  if (phase == "opening") return "being opened";
  if (phase == "describing") return "describing its options";
  if (phase == "constructing") return "being constructed with its default options";
  return "the probe started";
}

std::string limit_text(std::chrono::milliseconds limit) {
  return limit.count() % 1000 ? std::to_string(limit.count()) + " ms"
                              : std::to_string(limit.count() / 1000) + " s";
}

std::string cause(const ChildResult& child, const ProbeRecord& record,
                  const ProbeOptions& options) {
  const std::string during = " while " + phase_text(record.phase);
  if (child.has_timed_out)
    return "hung" + during + ": it did not finish within " + limit_text(options.limit);
  if (child.signal)
    return "crashed" + during + ": signal " + std::to_string(child.signal) + " (" +
           ::strsignal(child.signal) + ")";
  if (record.phase.empty())
    return "could not be probed: " + options.executable.string() + " exited with code " +
           std::to_string(child.exit_code) + " before it began";
  return "ended the process" + during + ": it called exit(" + std::to_string(child.exit_code) + ")";
}

/// The last lines of the child's stderr, such as "terminate called after throwing ...".
std::string last_words(const std::string& errors) {
  constexpr size_t kMostLines = 3;
  std::vector<std::string> lines;
  std::istringstream text(errors);
  for (std::string line; std::getline(text, line);)
    if (line.find_first_not_of(" \t\r") != line.npos) lines.push_back(line);
  std::string result;
  for (size_t i = lines.size() - std::min(kMostLines, lines.size()); i < lines.size(); ++i)
    result += "\n  it said   " + lines[i];
  return result;
}

[[noreturn]] void refuse(const PluginName& name, const ChildResult& child,
                         const ProbeRecord& record, const ProbeOptions& options) {
  if (record.has_failed) throw PluginError(record.sentence, record.remedy);
  const PluginError error = plugin_error(name, cause(child, record, options), "");
  throw PluginError(
      error.what() + last_words(child.errors),
      "it was tried in a child process and not loaded; fix the plugin, or remove the file");
}

void refuse_quarantined(const PluginName& name, const ProbeCache& cache, const std::string& key) {
  throw plugin_error(name,
                     "is quarantined: " + std::to_string(kMostUnfinished) +
                         " earlier probes never came to an end, the process died with them",
                     "fix the plugin, or remove " + cache.entry(key).string() + " to try again");
}

}  // namespace

std::filesystem::path default_probe_cache() {
  const auto absolute = [](const char* variable) -> fs::path {
    const char* value = std::getenv(variable);
    return value && *value == '/' ? fs::path(value) : fs::path();
  };
  fs::path base = absolute("XDG_CACHE_HOME");
  if (base.empty() && !absolute("HOME").empty()) base = absolute("HOME") / ".cache";
  return base.empty() ? base : base / "qtk/probes";
}

void require_probe(const PluginName& name, const ProbeOptions& options) {
  if (options.executable.empty()) return;
  const ProbeCache cache(options.cache_folder);
  const std::string key = cache_key(name.file);
  if (cache.has_passed(key)) return;
  const int unfinished = cache.unfinished(key);
  if (unfinished >= kMostUnfinished) refuse_quarantined(name, cache, key);

  core_log().debug("probing " + to_string(name) + " file=" + name.file.string());
  cache.begin(key, name.file, unfinished);
  const ChildResult child =
      run_child({options.executable.string(), "plugin-probe", name.file.string()}, options.limit);
  const ProbeRecord record = parse_probe_record(child.record);
  if (record.has_passed && !child.has_timed_out) {
    cache.pass(key, name.file);
    return;
  }
  cache.forget(key);
  refuse(name, child, record, options);
}

}  // namespace qtk::plugin
