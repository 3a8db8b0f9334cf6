// The folder of one run: configuration, environment, what each step finished, artifacts.
//
//   config.yaml resolved.yaml command.txt env.json fingerprint.json status.json log.txt
//   stages/<step>.json      one file per finished step: its seconds and the files it made
//   train/ artifacts/ eval/ report.html
//   tensorboard/<variant>/  event files, one per process that trained
//
// Every file is written atomically. A finished step is skipped when the run is started again.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace qtk::stage {

enum class Resume {
  kAuto,   // the newest run of the same name and fingerprint, else a new folder
  kNever,  // a new folder, or the named one emptied
};

struct RunIdentity {
  std::string name;
  /// What the results depend on, by key: "quantizer.options.bits" -> "4", "model" -> hash of its
  /// files, ...
  std::map<std::string, std::string> inputs;
};

/// Holds an exclusive lock while it lives: a second process on the same folder is refused.
class RunFolder {
 public:
  /// A folder under `parent` found or made by `resume`.
  static RunFolder under(const std::filesystem::path& parent, const RunIdentity& identity,
                         Resume resume);
  /// This very folder. @throws ConfigError naming the first input that differs if another run made
  /// it
  static RunFolder at(const std::filesystem::path& path, const RunIdentity& identity,
                      Resume resume);
  /// The folder that another process of this run holds: to be read, and for files of one's own.
  static RunFolder joined(const std::filesystem::path& path);
  ~RunFolder();
  RunFolder(RunFolder&&) noexcept;
  RunFolder& operator=(RunFolder&&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::filesystem::path& name) const { return path_ / name; }
  bool is_resumed() const { return is_resumed_; }

  /// Whether `step` finished and its files still have the sizes they had.
  bool is_finished(const std::string& step) const;
  /// @param files  paths below the folder; they must be on disk already
  void finish(const std::string& step, double seconds,
              const std::vector<std::filesystem::path>& files);
  /// Of a finished step.
  double seconds(const std::string& step) const;
  /// state: "running", "finished", "failed", "stopped"
  void write_status(const std::string& state, const std::string& step, int exit_code) const;
  void write_json(const std::filesystem::path& name, const nlohmann::json& content) const;
  nlohmann::json read_json(const std::filesystem::path& name) const;

 private:
  explicit RunFolder(std::filesystem::path path) : path_(std::move(path)) {}
  RunFolder(std::filesystem::path path, const RunIdentity& identity, Resume resume);
  std::filesystem::path record_of(const std::string& step) const;

  std::filesystem::path path_;
  int lock_ = -1;
  bool is_resumed_ = false;
};

}  // namespace qtk::stage
