#include "stage/run_folder.hpp"

#include "base/atomic_file.hpp"
#include "base/hash.hpp"
#include "base/logging.hpp"

#include <qtk/runtime/check.hpp>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/file.h>
#include <unistd.h>

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

json parse_file(const fs::path& path) {
  const json content = json::parse(read_text_file(path), nullptr, /*allow_exceptions=*/false);
  if (content.is_discarded())
    throw DataError(path.string() + " is not JSON", "delete the run folder, or restore the file");
  return content;
}

/// Key and both values of the first input that differs, or nothing.
std::optional<std::string> first_difference(const json& recorded, const RunIdentity& identity) {
  const auto was = recorded.value("inputs", std::map<std::string, std::string>{});
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
  for (const auto& entry : fs::directory_iterator(parent, error))
    if (entry.path().filename().string().ends_with(suffix) &&
        fs::exists(entry.path() / "fingerprint.json", error))
      if (!newest || entry.path().filename() > newest->filename()) newest = entry.path();
  return newest;
}

void remove_leftovers(const fs::path& folder) {
  std::vector<fs::path> leftovers;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file() &&
        entry.path().filename().string().find(".tmp-") != std::string::npos)
      leftovers.push_back(entry.path());
  for (const auto& path : leftovers) fs::remove(path);
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
    if (resume == Resume::kNever) {
      for (const char* part :
           {"stages", "artifacts", "eval", "train", "fingerprint.json", "report.html", "model"})
        fs::remove_all(path / part, error);
    } else if (const auto difference = first_difference(parse_file(record), identity)) {
      throw ConfigError("refusing to resume " + path.string() + ": " + *difference,
                        "choose another --out, or start this one afresh with --resume=never");
    }
  } else if (fs::exists(path, error) && !fs::is_empty(path, error)) {
    throw ConfigError(path.string() + " is not empty and not a run folder", "choose another --out");
  }
  return RunFolder(path, identity);
}

RunFolder::RunFolder(fs::path path, const RunIdentity& identity) : path_(std::move(path)) {
  std::error_code error;
  fs::create_directories(path_ / "stages", error);
  if (error)
    throw IoError("cannot create the run folder " + path_.string() + ": " + error.message(),
                  "choose another --out");
  path_ = fs::canonical(path_);
  lock_ = lock_folder(path_);
  remove_leftovers(path_);
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
  const json record = parse_file(record_of(step));
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
