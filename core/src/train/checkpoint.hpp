// Checkpoints: folders that are whole or not there, and known to be sound when they are read.
//
//   <folder>/step-00000200/state.safetensors   tensors by name
//                          state.json          everything else
//                          manifest.json       sizes and XXH3-128 of both
//                          COMPLETE            XXH3-128 of the manifest, written last
//
// A checkpoint is written as step-N.partial, every file synced, and renamed.
#pragma once

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

/// The checkpoints of one training, the newest `keep` of which stay.
class CheckpointStore {
 public:
  /// Removes what an interrupted save left.
  CheckpointStore(std::filesystem::path folder, int64_t keep);

  /// @throws IoError if the disk is full; older checkpoints are as they were
  void save(int64_t step, const TrainState& state);
  /// The newest sound one; damaged ones are reported and passed over. Nothing if there are none.
  /// @throws DataError if there are some and none is sound
  std::optional<Checkpoint> newest() const;
  /// Of the newest that was saved or read; empty if none was.
  std::string last_good() const { return last_good_; }

 private:
  std::vector<int64_t> steps() const;
  std::filesystem::path folder_of(int64_t step) const;
  void remove_old() const;

  std::filesystem::path folder_;
  int64_t keep_;
  mutable std::string last_good_;
};

}  // namespace qtk::train
