// safetensors files (github.com/huggingface/safetensors, README "Format"): 8 bytes little-endian
// header length, a JSON header, tensor data. Reading maps the file; a tensor aliases the mapping
// and costs memory only where it is touched.
#pragma once

#include "base/atomic_file.hpp"
#include "base/mapped_file.hpp"
#include "format/safetensors_header.hpp"
#include "format/tensor_info.hpp"

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <functional>
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

  /// In the order of the header, which other writers keep equal to the order of the data.
  const std::vector<TensorInfo>& tensors() const { return header_.tensors; }
  bool has(std::string_view name) const { return header_.find(name).has_value(); }
  const TensorInfo& info(std::string_view name) const;
  /// Aliases the mapping, which lives as long as any tensor; copied only where the file places it
  /// at an address its dtype cannot have. Must not be written. @throws DataError for unknown names
  /// and for BOOL bytes other than 0 and 1
  at::Tensor tensor(std::string_view name) const;
  const std::map<std::string, std::string>& metadata() const { return header_.metadata; }
  const std::filesystem::path& path() const { return file_->path(); }

 private:
  SafetensorsFile() = default;

  size_t find(std::string_view name) const;

  std::shared_ptr<const MappedFile> file_;
  SafetensorsHeader header_;
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
  const SafetensorsFile& file_with(std::string_view name) const;

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

struct TensorFolderOptions {
  int64_t shard_bytes = 5'000'000'000;  // of tensor data; one tensor may exceed it
  std::map<std::string, std::string> metadata = {{"format", "pt"}};
};

/// Writes a Hugging Face folder: model.safetensors, or model-00001-of-0000N.safetensors with their
/// index where the tensors exceed one shard. Tensors fill the shards in the order given; within a
/// shard wider dtypes go first, so that every tensor is aligned. `tensor` is called once for each,
/// in the order of the files, and only one is held at a time. The index is removed first and
/// written last: a killed export is not taken for a whole one.
/// @returns the files written, index included
/// @throws DataError if the folder holds weight files that this layout would leave behind, IoError,
/// Error
std::vector<std::filesystem::path> write_tensor_folder(
    const std::filesystem::path& folder, const std::vector<TensorInfo>& tensors,
    const std::function<at::Tensor(const TensorInfo&)>& tensor,
    const TensorFolderOptions& options = {});

}  // namespace qtk::format
