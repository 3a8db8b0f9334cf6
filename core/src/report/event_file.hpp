// Scalars for TensorBoard: event files (github.com/tensorflow/tensorboard, event.proto and
// summary.proto) written by hand, without TensorFlow or protobuf.
//
//   file    records, each  | length u64 | masked CRC of it | Event | masked CRC of the Event |
//   Event   1 wall_time f64, 2 step varint, 3 file_version text, 5 summary, 7 session_log
//   Summary 1 value { 1 tag text, 2 simple_value f32 };  SessionLog 1 status varint (1: start)
//
// Fields of value 0 are left out, as protobuf does, except simple_value.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace qtk::report {

// Encoded protocol messages.
std::string version_event(double wall_time);
std::string scalar_event(std::string_view tag, int64_t step, double wall_time, float value);
/// Tells TensorBoard that whatever it has of `step` and later steps was done again.
std::string restart_event(int64_t step, double wall_time);

/// `event` framed as a TFRecord.
std::string record_of(std::string_view event);

/// One process's part of a run. Every process adds a file of its own to the folder; TensorBoard
/// reads them as one run, so that a run that is resumed just goes on. Not thread-safe.
class EventFile {
 public:
  /// Makes `folder` and a new "events.out.tfevents.<seconds>.<host>.<pid>.<n>" in it.
  /// @param first_step  greater than 0 where the run goes on from a checkpoint: hides what an
  /// earlier process wrote of that step and later ones
  /// @throws IoError
  explicit EventFile(const std::filesystem::path& folder, int64_t first_step = 0);
  ~EventFile();
  EventFile(const EventFile&) = delete;
  EventFile& operator=(const EventFile&) = delete;

  /// Kept in memory until flush(), or until there are some kilobytes. Infinities and NaN are
  /// written as such. @param wall_time  Unix seconds. @throws IoError
  void add_scalar(std::string_view tag, int64_t step, double wall_time, double value);
  /// Every number of one row of metrics.jsonl ({"step": .., "<tag>": number, ..}) but "step" and
  /// "time"; without a time (Unix seconds) the row is of now. @throws DataError for what is no such
  /// row, IoError
  void add_row(const nlohmann::json& row);
  /// Whole records only reach the file, in one write. @throws IoError
  void flush();

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  std::string pending_;
  int descriptor_ = -1;
};

}  // namespace qtk::report
