// The tiny models of tests/golden/model and copies of them with another config.json or other
// weights.
#pragma once

#include "base/atomic_file.hpp"
#include "format/safetensors.hpp"
#include "model/decoder.hpp"
#include "temporary_folder.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace qtk::model {

inline std::filesystem::path golden(const std::string& name) {
  return std::filesystem::path(QTK_SOURCE_DIR) / "tests/golden/model" / name;
}

/// What transformers computed: `ids` [2, 12] int64 and `logits` [2, 12, V].
struct Expected {
  at::Tensor ids, logits;
};

inline Expected expected_of(const std::string& name) {
  const auto file = format::SafetensorsFile::open(golden(name) / "expected.safetensors");
  return {file.tensor("ids"), file.tensor("logits")};
}

/// Largest deviation relative to the largest value.
inline double relative_error(const at::Tensor& found, const at::Tensor& expected) {
  return ((found - expected).abs().max() / expected.abs().max()).item<double>();
}

using Tensors = std::map<std::string, at::Tensor>;

inline void write_weights(const std::filesystem::path& folder, const Tensors& tensors) {
  std::vector<format::TensorInfo> infos;
  for (const auto& [name, tensor] : tensors)
    infos.push_back({.name = name, .dtype = tensor.scalar_type(), .shape = tensor.sizes().vec()});
  format::SafetensorsWriter writer(folder / "model.safetensors", infos);
  for (const auto& [name, tensor] : tensors) writer.write(name, tensor);
  writer.commit();
}

/// A copy of a golden model with its config and weights changed.
class ChangedModel {
 public:
  explicit ChangedModel(const std::string& name,
                        const std::function<void(nlohmann::json&)>& change_config = nullptr,
                        const std::function<void(Tensors&)>& change_weights = nullptr) {
    auto config = nlohmann::json::parse(read_text_file(golden(name) / "config.json"));
    if (change_config) change_config(config);
    write_file_atomically(folder_.path() / "config.json", config.dump(2));
    const auto source = format::TensorFolder::open(golden(name));
    Tensors tensors;
    for (const auto& info : source.tensors()) tensors[info.name] = source.tensor(info.name);
    if (change_weights) change_weights(tensors);
    write_weights(folder_.path(), tensors);
  }

  const std::filesystem::path& path() const { return folder_.path(); }
  std::string file(const std::string& name) const { return (folder_.path() / name).string(); }
  std::unique_ptr<Decoder> load(const LoadOptions& options = {}) const {
    return Decoder::load(path(), options);
  }

 private:
  TemporaryFolder folder_;
};

/// The message and remedy of the error that `body` throws; a failure if there is none.
template <class Error>
std::string message_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return std::string(error.what()) + " | " + error.remedy();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

}  // namespace qtk::model
