#include "plugin/probe_cache.hpp"

#include "base/atomic_file.hpp"
#include "base/logging.hpp"

#include <qtk/runtime/error.hpp>

#include <unistd.h>

#include <charconv>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>

namespace qtk::plugin {
namespace {

namespace fs = std::filesystem;

using Entry = std::map<std::string, std::string, std::less<>>;

/// Empty if the file is missing, too large or something else.
Entry read_entry(const fs::path& path) {
  Entry entry;
  try {
    std::istringstream lines(read_text_file(path, 64 << 10));
    for (std::string line; std::getline(lines, line);)
      if (const size_t equals = line.find('='); equals != line.npos)
        entry.insert_or_assign(line.substr(0, equals), line.substr(equals + 1));
  } catch (const std::exception&) {
    entry.clear();
  }
  if (entry["qtk_probe"] != "1") entry.clear();
  return entry;
}

std::string text_of(const Entry& entry) {
  std::string text;
  for (const auto& [key, value] : entry) text += key + "=" + value + "\n";
  return text;
}

std::string content(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Names a process beyond the reuse of its number: boot, number, start time.
std::string process_mark(const std::string& pid) {
  std::string boot = content("/proc/sys/kernel/random/boot_id");
  boot.resize(std::min(boot.find('\n'), boot.size()));
  const std::string status = content("/proc/" + pid + "/stat");
  // Field 22 is the start time; the name before it may hold spaces but ends with the last bracket.
  std::istringstream fields(status.substr(std::min(status.rfind(')'), status.size())));
  std::string field;
  for (int i = 2; i <= 22; ++i) fields >> field;
  return boot + " " + pid + " " + (fields ? field : "gone");
}

bool is_running(const std::string& mark) {
  std::istringstream fields(mark);
  std::string boot, pid;
  fields >> boot >> pid;
  return !pid.empty() && process_mark(pid) == mark && !mark.ends_with("gone");
}

}  // namespace

bool ProbeCache::has_passed(const std::string& key) const {
  return !folder_.empty() && read_entry(entry(key))["state"] == "passed";
}

int ProbeCache::unfinished(const std::string& key) const {
  if (folder_.empty()) return 0;
  Entry found = read_entry(entry(key));
  if (found["state"] != "probing") return 0;
  int attempts = 0;
  const std::string& text = found["attempts"];
  std::from_chars(text.data(), text.data() + text.size(), attempts);
  return attempts + (is_running(found["process"]) ? 0 : 1);
}

void ProbeCache::begin(const std::string& key, const fs::path& file, int attempts) const {
  write(key, text_of({{"qtk_probe", "1"},
                      {"state", "probing"},
                      {"attempts", std::to_string(attempts)},
                      {"process", process_mark(std::to_string(::getpid()))},
                      {"file", file.string()}}));
}

void ProbeCache::pass(const std::string& key, const fs::path& file) const {
  write(key, text_of({{"qtk_probe", "1"}, {"state", "passed"}, {"file", file.string()}}));
}

void ProbeCache::forget(const std::string& key) const {
  std::error_code error;
  if (!folder_.empty()) fs::remove(entry(key), error);
}

void ProbeCache::write(const std::string& key, const std::string& text) const {
  if (folder_.empty()) return;
  try {
    write_file_atomically(entry(key), text);
  } catch (const std::exception& error) {
    core_log().debug("cannot remember a plugin probe: " + std::string(error.what()));
  }
}

}  // namespace qtk::plugin
