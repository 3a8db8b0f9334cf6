// GGUF model files (github.com/ggml-org/ggml, docs/gguf.md): metadata and tensors stored as ggml
// blocks.
#pragma once

#include "base/atomic_file.hpp"
#include "base/mapped_file.hpp"
#include "format/ggml_blocks.hpp"
#include "format/gguf_metadata.hpp"
#include "format/gguf_parse.hpp"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qtk::format {

struct GgufTensor {
  std::string name;
  const GgmlType* type = nullptr;  // a row of ggml_types()
  std::vector<int64_t> shape;      // row-major, as PyTorch: the file's sizes in reverse

  int64_t numel() const;
  int64_t nbytes() const { return numel() / type->block_size * type->block_bytes; }
};

/// Little-endian files of version 2 and 3, mapped. Before anything is allocated from the file's own
/// numbers they are checked: counts, lengths and offsets against the file's size, memory for
/// metadata against 192 MiB, sizes against overflow, ranges against each other, names for
/// repetition.
class GgufFile {
 public:
  /// @throws DataError naming file, key or tensor
  static GgufFile open(const std::filesystem::path& path);

  const GgufMetadata& metadata() const { return metadata_; }
  /// In the order of the file.
  const std::vector<GgufTensor>& tensors() const { return tensors_; }
  bool has(std::string_view name) const { return index_.find(name) != index_.end(); }
  const GgufTensor& info(std::string_view name) const;
  /// The blocks as they are: uint8, last size in bytes. Aliases the mapping, which lives as long as
  /// any tensor; must not be written. @throws DataError for unknown names
  at::Tensor tensor(std::string_view name) const;
  /// fp32 on the CPU, in ggml's arithmetic. @throws DataError for unknown names and for types qtk
  /// cannot read
  at::Tensor dequantize(std::string_view name) const;

  uint32_t version() const { return version_; }
  const std::filesystem::path& path() const { return file_->path(); }
  int64_t file_bytes() const { return static_cast<int64_t>(file_->bytes().size()); }

 private:
  GgufFile() = default;
  void read_tensors(GgufCursor& cursor, uint64_t count);
  void place_tensors(GgufCursor& cursor);
  size_t find(std::string_view name) const;
  std::span<const std::byte> blocks(size_t index) const;

  std::shared_ptr<const MappedFile> file_;
  uint32_t version_ = 0;
  GgufMetadata metadata_;
  std::vector<GgufTensor> tensors_;
  std::vector<uint64_t> offsets_;  // from the start of the file
  std::map<std::string, size_t, std::less<>> index_;
};

/// Metadata to be written, each value with the type that other readers expect. llama.cpp reads
/// counts and sizes as u32, epsilons, bases and scores as f32, token types as i32 lists.
class GgufFields {
 public:
  /// Each throws Error if the key was given before or the value does not fit its type.
  void u32(std::string_view key, int64_t value);
  void u64(std::string_view key, uint64_t value);
  void i32(std::string_view key, int64_t value);
  void f32(std::string_view key, double value);
  void flag(std::string_view key, bool value);
  void text(std::string_view key, std::string_view value);
  void texts(std::string_view key, std::span<const std::string> values);
  void i32s(std::string_view key, std::span<const int64_t> values);
  void f32s(std::string_view key, std::span<const double> values);

  int64_t count() const { return static_cast<int64_t>(keys_.size()); }
  /// As they stand in the file.
  const std::string& bytes() const { return bytes_; }

 private:
  void begin(std::string_view key, GgufType type);
  void begin_list(std::string_view key, GgufType element, size_t count);

  std::set<std::string, std::less<>> keys_;
  std::string bytes_;
};

/// Writes a version 3 file with alignment 32, tensor by tensor.
class GgufWriter {
 public:
  /// @throws Error for repeated names, names of 64 bytes or more (llama.cpp cannot read them),
  /// shapes of no or more than 4 sizes, rows that are no whole number of blocks; IoError
  GgufWriter(std::filesystem::path path, const GgufFields& fields, std::vector<GgufTensor> tensors);
  /// The next tensor of the list given above, encoded as its type. Any floating dtype, device and
  /// layout.
  /// @throws as quantize_blocks()
  void write(std::string_view name, const at::Tensor& weights);
  /// The same for blocks that are encoded already.
  void write_blocks(std::string_view name, std::span<const std::byte> blocks);
  /// Bytes of tensor data, without padding.
  int64_t data_bytes() const { return data_bytes_; }
  /// @throws Error if tensors are missing, IoError
  void commit();

 private:
  const GgufTensor& expect_next(std::string_view name) const;

  AtomicFile file_;
  std::vector<GgufTensor> tensors_;
  size_t next_ = 0;
  int64_t data_bytes_ = 0;
};

}  // namespace qtk::format
