#include "stage/run_folder.hpp"

#include "base/atomic_file.hpp"
#include "base/hash.hpp"
#include "base/logging.hpp"

#include <qtk/runtime/check.hpp>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <ctime>

namespace qtk::stage {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::string timestamp(const char* format) {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  ::localtime_r(&now, &local);
  char text[32];
  std::strftime(text, sizeof text, format, &local);
  return text;
}

std::string fingerprint_of(const RunIdentity& identity) {
  return fingerprint(json(identity.inputs).dump()).substr(0, 8);
}

/// Whether `text` is what timestamp() writes for a folder, perhaps with a number behind it.
bool is_timestamp(std::string_view text) {
  constexpr std::string_view kPattern = "0000-00-00T000000";
  if (text.size() < kPattern.size()) return false;
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  for (size_t i = 0; i < kPattern.size(); ++i)
    if (kPattern[i] == '0' ? !is_digit(text[i]) : text[i] != kPattern[i]) return false;
  const std::string_view rest = text.substr(kPattern.size());
  return rest.empty() || (rest[0] == '.' && std::ranges::all_of(rest.substr(1), is_digit));
}

json parse_file(const fs::path& path) {
  const json content = json::parse(read_text_file(path), nullptr, /*allow_exceptions=*/false);
  if (!content.is_object())
    throw DataError(path.string() + " is damaged, expected a JSON object",
                    "delete the run folder, or restore the file");
  return content;
}

bool is_step_record(const json& record) {
  if (!record.is_object() || !record.contains("files") || !record["files"].is_object() ||
      !record.contains("seconds") || !record["seconds"].is_number())
    return false;
  return std::ranges::all_of(record["files"],
                             [](const json& size) { return size.is_number_unsigned(); });
}

/// Key and both values of the first input that differs, or nothing.
std::optional<std::string> first_difference(const json& recorded, const RunIdentity& identity) {
  std::map<std::string, std::string> was;
  if (const auto inputs = recorded.find("inputs"); inputs != recorded.end() && inputs->is_object())
    for (const auto& [key, value] : inputs->items())
      was[key] = value.is_string() ? value.get<std::string>() : value.dump();
  const auto text = [](const auto& map, const std::string& key) {
    const auto found = map.find(key);
    return found == map.end() ? std::string("unset") : found->second;
  };
  std::map<std::string, std::string> keys = was;
  keys.insert(identity.inputs.begin(), identity.inputs.end());
  for (const auto& [key, ignored] : keys)
    if (text(was, key) != text(identity.inputs, key))
      return key + " was " + text(was, key) + ", is " + text(identity.inputs, key);
  return std::nullopt;
}

/// The newest folder "<time>-<name>-<fingerprint>" in `parent`; names sort by time.
std::optional<fs::path> newest_run(const fs::path& parent, const std::string& suffix) {
  std::optional<fs::path> newest;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(parent, error)) {
    const std::string name = entry.path().filename().string();
    const bool is_ours = name.ends_with(suffix) && is_timestamp(std::string_view(name).substr(
                                                       0, name.size() - suffix.size()));
    if (!is_ours || !fs::exists(entry.path() / "fingerprint.json", error)) continue;
    if (!newest || name > newest->filename().string()) newest = entry.path();
  }
  return newest;
}

void remove_leftovers(const fs::path& folder) {
  std::vector<fs::path> leftovers;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.path().filename().string().find(".tmp-") != std::string::npos)
      leftovers.push_back(entry.path());
  for (const auto& path : leftovers) fs::remove_all(path);
}

/// Nothing but what a run makes before it writes its fingerprint: it may have been killed there.
bool is_barely_begun(const fs::path& folder) {
  if (!fs::is_directory(folder)) return false;
  return std::ranges::all_of(fs::directory_iterator(folder), [](const fs::directory_entry& entry) {
    const std::string name = entry.path().filename().string();
    return name == "run.lock" || name.find(".tmp-") != std::string::npos ||
           (name == "stages" && entry.is_directory() && fs::is_empty(entry.path()));
  });
}

/// The fingerprint last: what is left of a folder that was half emptied is still a run's.
void remove_results(const fs::path& folder) {
  std::error_code ignored;
  for (const char* part :
       {"stages", "artifacts", "eval", "train", "report.html", "model", "fingerprint.json"})
    fs::remove_all(folder / part, ignored);
}

int lock_folder(const fs::path& folder) {
  const int descriptor = ::open((folder / "run.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0)
    throw IoError("cannot write to the run folder " + folder.string(), "choose another --out");
  if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    ::close(descriptor);
    throw ConfigError("another qtk is working in " + folder.string(),
                      "wait for it, or choose another --out");
  }
  return descriptor;
}

}  // namespace

RunFolder RunFolder::under(const fs::path& parent, const RunIdentity& identity, Resume resume) {
  const std::string suffix = "-" + identity.name + "-" + fingerprint_of(identity);
  if (resume == Resume::kAuto)
    if (const auto known = newest_run(parent, suffix)) return at(*known, identity, resume);
  fs::path path = parent / (timestamp("%Y-%m-%dT%H%M%S") + suffix);
  for (int again = 2; fs::exists(path); ++again)
    path = parent / (timestamp("%Y-%m-%dT%H%M%S") + "." + std::to_string(again) + suffix);
  return at(path, identity, resume);
}

RunFolder RunFolder::at(const fs::path& path, const RunIdentity& identity, Resume resume) {
  const fs::path record = path / "fingerprint.json";
  std::error_code error;
  if (fs::exists(record, error)) {
    if (resume == Resume::kAuto)
      if (const auto difference = first_difference(parse_file(record), identity))
        throw ConfigError("refusing to resume " + path.string() + ": " + *difference,
                          "choose another --out, or start this one afresh with --resume=never");
  } else if (fs::exists(path, error) && !is_barely_begun(path)) {
    throw ConfigError(path.string() + " is not empty and not a run folder", "choose another --out");
  }
  return RunFolder(path, identity, resume);
}

RunFolder RunFolder::joined(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path / "fingerprint.json", error))
    throw ConfigError("the run folder " + path.string() + " of rank 0 cannot be seen from here",
                      "put it on a file system that all machines share, with --out");
  return RunFolder(path);
}

RunFolder::RunFolder(fs::path path, const RunIdentity& identity, Resume resume)
    : path_(std::move(path)) {
  std::error_code error;
  fs::create_directories(path_, error);
  if (error)
    throw IoError("cannot create the run folder " + path_.string() + ": " + error.message(),
                  "choose another --out");
  path_ = fs::canonical(path_);
  lock_ = lock_folder(path_);
  remove_leftovers(path_);
  if (resume == Resume::kNever) remove_results(path_);
  fs::create_directories(path_ / "stages");
  is_resumed_ = fs::exists(path_ / "fingerprint.json");
  if (!is_resumed_)
    write_json("fingerprint.json", {{"name", identity.name}, {"inputs", identity.inputs}});
}

RunFolder::RunFolder(RunFolder&& other) noexcept
    : path_(std::move(other.path_)),
      lock_(std::exchange(other.lock_, -1)),
      is_resumed_(other.is_resumed_) {}

RunFolder::~RunFolder() {
  if (lock_ >= 0) ::close(lock_);
}

fs::path RunFolder::record_of(const std::string& step) const {
  return path_ / "stages" / (step + ".json");
}

bool RunFolder::is_finished(const std::string& step) const {
  std::error_code error;
  if (!fs::exists(record_of(step), error)) return false;
  const json record =
      json::parse(read_text_file(record_of(step)), nullptr, /*allow_exceptions=*/false);
  if (!is_step_record(record)) {
    core_log().warn(step + " is done again: " + record_of(step).string() + " is damaged");
    return false;
  }
  for (const auto& [file, size] : record.at("files").items())
    if (const auto actual = fs::file_size(path_ / file, error);
        error || actual != size.get<uintmax_t>()) {
      core_log().warn(step + " is done again: " + file + " is missing or has another size");
      return false;
    }
  return true;
}

void RunFolder::finish(const std::string& step, double seconds,
                       const std::vector<fs::path>& files) {
  json sizes = json::object();
  for (const auto& file : files) sizes[fs::relative(file, path_).string()] = fs::file_size(file);
  write_json(fs::path("stages") / (step + ".json"), {{"step", step},
                                                     {"finished", timestamp("%Y-%m-%dT%H:%M:%S")},
                                                     {"seconds", seconds},
                                                     {"files", sizes}});
}

double RunFolder::seconds(const std::string& step) const {
  return parse_file(record_of(step)).at("seconds");
}

void RunFolder::write_status(const std::string& state, const std::string& step,
                             int exit_code) const {
  write_json("status.json", {{"state", state},
                             {"step", step},
                             {"time", timestamp("%Y-%m-%dT%H:%M:%S")},
                             {"process", ::getpid()},
                             {"exit_code", exit_code}});
}

void RunFolder::write_json(const fs::path& name, const json& content) const {
  write_file_atomically(path_ / name, content.dump(2) + "\n");
}

json RunFolder::read_json(const fs::path& name) const { return parse_file(path_ / name); }

}  // namespace qtk::stage
