// What earlier probes found out: one small file for each probed content. A mark is written before a
// child starts, so that a plugin that takes the whole process or machine down with it is recognised
// the next time.
#pragma once

#include <filesystem>
#include <string>

namespace qtk::plugin {

/// Nothing here throws: a cache that cannot be read or written only costs time.
class ProbeCache {
 public:
  /// An empty folder means that nothing is remembered.
  explicit ProbeCache(std::filesystem::path folder) : folder_(std::move(folder)) {}

  bool has_passed(const std::string& key) const;
  /// Probes that began and whose process died before they ended.
  int unfinished(const std::string& key) const;

  /// `attempts`: unfinished ones before this one.
  void begin(const std::string& key, const std::filesystem::path& file, int attempts) const;
  void pass(const std::string& key, const std::filesystem::path& file) const;
  void forget(const std::string& key) const;

  std::filesystem::path entry(const std::string& key) const { return folder_ / key; }

 private:
  void write(const std::string& key, const std::string& text) const;

  std::filesystem::path folder_;
};

}  // namespace qtk::plugin
