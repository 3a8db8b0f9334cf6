// Finished units of a long computation, kept so that a killed process loses at most the one it was
// in. A file of lines, each with its checksum, written and synced one by one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace qtk::train {

/// Passes through the model.
struct PassCounts {
  int64_t gradient_passes = 0;  // backward passes of every kind
  int64_t hessian_products = 0;
  bool operator==(const PassCounts&) const = default;
};

struct FinishedUnit {
  std::vector<double> values;
  PassCounts counts;
};

/// One writer at a time. Not thread-safe.
class WorkJournal {
 public:
  /// Reads what is there. A line that is torn or damaged, and all after it, are dropped. A file of
  /// another identity is emptied.
  /// @param identity  what the units depend on; one line of text
  /// @throws IoError
  WorkJournal(std::filesystem::path path, std::string identity);
  ~WorkJournal();
  WorkJournal(const WorkJournal&) = delete;
  WorkJournal& operator=(const WorkJournal&) = delete;

  std::optional<FinishedUnit> find(const std::string& key) const;
  /// Appends and syncs. @throws IoError
  void keep(const std::string& key, const FinishedUnit& unit);
  int64_t size() const { return static_cast<int64_t>(units_.size()); }

 private:
  /// @returns bytes of the part that is sound, 0 if the file belongs to something else
  int64_t read();
  void open_at(int64_t length);
  void append(const std::string& line);
  [[noreturn]] void fail(const char* operation) const;

  const std::filesystem::path path_;
  const std::string identity_;
  std::map<std::string, FinishedUnit> units_;
  int descriptor_ = -1;
};

}  // namespace qtk::train
