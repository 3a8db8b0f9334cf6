// Checkpoints: folders that are whole or not there, and known to be sound when they are read.
//
//   <folder>/step-00000200/state.safetensors     tensors by name
//                          state.json            everything else
//                          state-1.safetensors   the same of a second process, and so on
//                          manifest.json         sizes and XXH3-128 of all of them
//                          COMPLETE              XXH3-128 of the manifest, written last
//
// A checkpoint is written as step-N.partial, every file synced, and renamed. State is found by
// name, whichever part holds it, so any number of processes can read what any number wrote.
#pragma once

#include <qtk/runtime/error.hpp>
#include <qtk/runtime/state.hpp>

#include <ATen/core/Tensor.h>
#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace qtk::train {

/// All state of a run. Tensors that are one object (a weight that both a method and the optimizer
/// name) are kept once.
class TrainState {
 public:
  std::map<std::string, at::Tensor> tensors;  // on the CPU once read
  nlohmann::json values = nlohmann::json::object();
  std::map<std::string, std::string> aliases;  // name -> name in `tensors`

  /// Adds a tensor, or an alias if the very same one is there. Not copied.
  void put(const std::string& name, const at::Tensor& tensor);
  /// @throws DataError for an unknown name
  const at::Tensor& tensor(const std::string& name) const;
  bool has_tensor(const std::string& name) const;
  /// Names that begin so.
  std::vector<std::string> names_from(const std::string& prefix) const;
  /// Adds what `other` has and this has not.
  void merge(TrainState other);
};

/// The state of one object inside of it, under "<prefix>/".
class ScopedWriter final : public StateWriter {
 public:
  ScopedWriter(TrainState& state, std::string prefix) : state_(state), prefix_(prefix + "/") {}
  void tensor(std::string_view name, const at::Tensor& value) override;
  void integer(std::string_view name, int64_t value) override;
  void real(std::string_view name, double value) override;
  void text(std::string_view name, std::string_view value) override;

 private:
  void put(std::string_view name, nlohmann::json value);
  TrainState& state_;
  std::string prefix_;
};

class ScopedReader final : public StateReader {
 public:
  ScopedReader(const TrainState& state, std::string prefix)
      : state_(state), prefix_(prefix + "/") {}
  bool has(std::string_view name) const override;
  at::Tensor tensor(std::string_view name) const override;
  int64_t integer(std::string_view name) const override;
  double real(std::string_view name) const override;
  std::string text(std::string_view name) const override;

 private:
  const nlohmann::json& get(std::string_view name, const char* type) const;
  const TrainState& state_;
  std::string prefix_;
};

struct Checkpoint {
  int64_t step = 0;
  std::filesystem::path folder;
  TrainState state;  // tensors alias the mapped file
};

/// Where a training keeps its checkpoints.
class Checkpoints {
 public:
  virtual ~Checkpoints();
  /// @throws IoError if the disk is full; older checkpoints are as they were
  virtual void save(int64_t step, const TrainState& state) = 0;
  /// The newest sound one; damaged ones are reported and passed over. Nothing if there are none.
  /// @throws DataError if there are some and none is sound
  virtual std::optional<Checkpoint> newest() = 0;
  /// Of the newest that was saved or read; empty if none was.
  virtual std::string last_good() const = 0;
};

/// Checkpoints in a folder, the newest `keep` of which stay.
class CheckpointStore final : public Checkpoints {
 public:
  CheckpointStore(std::filesystem::path folder, int64_t keep);

  void save(int64_t step, const TrainState& state) override;
  std::optional<Checkpoint> newest() override;
  std::string last_good() const override { return last_good_; }

  /// Removes what an interrupted save left.
  void remove_leftovers() const;
  /// A save in parts, by several processes: one begins, then all write theirs, then one commits.
  void begin(int64_t step);
  void write_part(int64_t step, int part, const TrainState& state);
  /// @param parts  how many were written. @throws IoError if one is not there
  void commit(int64_t step, int parts);
  /// One that newest() found sound. @throws DataError
  Checkpoint read(int64_t step);

 private:
  std::filesystem::path partial_of(int64_t step) const;
  [[noreturn]] void fail(int64_t step, const Error& error) const;
  std::vector<int64_t> steps() const;
  std::filesystem::path folder_of(int64_t step) const;
  void remove_old() const;

  std::filesystem::path folder_;
  int64_t keep_;
  std::string last_good_;
};

}  // namespace qtk::train
