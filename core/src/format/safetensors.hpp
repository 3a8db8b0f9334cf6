// safetensors files (github.com/huggingface/safetensors, README "Format"): 8 bytes little-endian
// header length, a JSON header, tensor data. Reading maps the file; a tensor aliases the mapping
// and costs memory only where it is touched.
#pragma once

#include "base/atomic_file.hpp"
#include "base/mapped_file.hpp"
#include "format/tensor_info.hpp"

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace qtk::format {

/// Every limit is checked before anything is allocated from the file's own numbers: header at most
/// 100 MB and inside the file, at most 10^6 tensors, known dtypes, shapes that multiply without
/// overflow to the byte range they name, ranges inside the file without overlap or hole, unique
/// names, text-only metadata.
class SafetensorsFile {
 public:
  /// @throws DataError naming file, tensor and field
  static SafetensorsFile open(const std::filesystem::path& path);

  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  bool has(std::string_view name) const;
  const TensorInfo& info(std::string_view name) const;
  /// Aliases the mapping, which lives as long as any tensor. Must not be written. @throws DataError
  /// for unknown names
  at::Tensor tensor(std::string_view name) const;
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const std::filesystem::path& path() const { return file_->path(); }

 private:
  SafetensorsFile() = default;

  std::shared_ptr<const MappedFile> file_;
  std::vector<TensorInfo> tensors_;
  std::vector<int64_t> offsets_;  // from the start of the file
  std::map<std::string, size_t, std::less<>> index_;
  std::map<std::string, std::string> metadata_;
};

/// The tensors of a Hugging Face folder: model.safetensors, or the shards named by
/// model.safetensors.index.json.
class TensorFolder {
 public:
  /// @throws DataError: no such file, a shard missing, a tensor of the index missing or present
  /// twice; old pickles
  /// (.bin, .pth) are refused with the conversion hint
  static TensorFolder open(const std::filesystem::path& folder);

  /// In file order, shard after shard.
  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  bool has(std::string_view name) const;
  at::Tensor tensor(std::string_view name) const;
  const TensorInfo& info(std::string_view name) const;
  const std::filesystem::path& folder() const { return folder_; }
  /// Bytes of all files.
  int64_t file_bytes() const { return file_bytes_; }

 private:
  std::filesystem::path folder_;
  std::vector<SafetensorsFile> files_;
  std::vector<TensorInfo> tensors_;
  std::map<std::string, size_t, std::less<>> file_of_;
  int64_t file_bytes_ = 0;
};

/// Writes one file tensor by tensor, so that a model never has to be in memory as a whole.
class SafetensorsWriter {
 public:
  SafetensorsWriter(std::filesystem::path path, std::vector<TensorInfo> tensors,
                    const std::map<std::string, std::string>& metadata = {{"format", "pt"}});
  /// The next tensor of the list given above; name, dtype and shape must agree. Any device and
  /// layout.
  void write(std::string_view name, const at::Tensor& tensor);
  /// Bytes of tensor data (without the header).
  int64_t data_bytes() const { return data_bytes_; }
  /// @throws Error if tensors are missing, IoError
  void commit();

 private:
  AtomicFile file_;
  std::vector<TensorInfo> tensors_;
  size_t next_ = 0;
  int64_t data_bytes_ = 0;
};

}  // namespace qtk::format
