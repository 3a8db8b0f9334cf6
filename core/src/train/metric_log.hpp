// metrics.jsonl: one JSON object a line, a line per logged step and per evaluation.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace qtk::train {

/// Appends to what is there; whoever resumes rewinds first, so that no line is there twice.
class MetricLog {
 public:
  /// @param on_row  called with every row that is written; may be empty
  explicit MetricLog(std::filesystem::path path,
                     std::function<void(const nlohmann::json&)> on_row = {});
  ~MetricLog();
  MetricLog(const MetricLog&) = delete;
  MetricLog& operator=(const MetricLog&) = delete;

  /// Cuts the file to its first `bytes` bytes. @throws IoError
  void rewind(int64_t bytes);
  /// @param row  an object; its keys are written in alphabetical order
  void write(const nlohmann::json& row);
  /// Syncs. @returns the size of the file
  int64_t sync();

 private:
  [[noreturn]] void fail(const char* operation) const;

  const std::filesystem::path path_;
  const std::function<void(const nlohmann::json&)> on_row_;
  int descriptor_ = -1;
  int64_t size_ = 0;
};

/// Means of named figures since the last time they were taken.
class FigureMeans {
 public:
  void add(std::string_view name, double value);
  /// Adds the means to `row` and begins anew.
  void take(nlohmann::json& row);

  /// Adds what save() of another one gave.
  void merge(const nlohmann::json& saved);
  nlohmann::json save() const;
  void load(const nlohmann::json& saved);

 private:
  struct Sum {
    double sum = 0;
    int64_t count = 0;
  };
  std::map<std::string, Sum, std::less<>> sums_;
};

}  // namespace qtk::train
