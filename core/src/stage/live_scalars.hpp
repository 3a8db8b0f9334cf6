// Metrics of training for TensorBoard, while they are made.
#pragma once

#include "report/event_file.hpp"

#include <nlohmann/json_fwd.hpp>

#include <filesystem>
#include <memory>

namespace qtk::stage {

/// Shows every row at once. Nothing is made before the first row; what an earlier process wrote of
/// its step and later ones is hidden, because a resumed run does them again.
class LiveScalars {
 public:
  explicit LiveScalars(std::filesystem::path folder);

  /// @param row  of metrics.jsonl. @throws IoError
  void add(const nlohmann::json& row);

 private:
  const std::filesystem::path folder_;
  std::unique_ptr<report::EventFile> events_;
};

}  // namespace qtk::stage
