// Reading what stands before the tensor data in a GGUF file, within bounds of bytes and of memory.
//
//   "GGUF" | version u32 | tensors u64 | keys u64 | keys | tensor entries | padding | tensor data
//
//   text:    length u64 | bytes
//   key:     text | type u32 | value; a list is: element type u32 | length u64 | elements
//   tensor:  text | dims u32 | sizes u64, fastest first | ggml type u32 | offset u64 into the data
#pragma once

#include "format/gguf_metadata.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace qtk::format {

/// Types of metadata values, as numbered in files.
enum class GgufType : uint32_t {
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kText,
  kList,
  kU64,
  kI64,
  kF64
};

/// Walks over the mapped file. Every read is checked against the file's end, and what is kept in
/// memory against a budget, so that lengths in the file are never trusted.
class GgufCursor {
 public:
  GgufCursor(std::span<const std::byte> file, const std::filesystem::path& path)
      : file_(file), path_(path) {}

  /// @throws DataError naming `what` if the file ends before it
  template <class T>
  T number(const std::string& what) {
    T value;
    std::memcpy(&value, bytes(sizeof(T), what), sizeof(T));
    return value;
  }
  /// Text of at most `limit` bytes, still in the file.
  std::string_view text(const std::string& what, uint64_t limit);
  /// Accounts for memory about to be used. @throws DataError beyond 192 MiB in all
  void charge(uint64_t bytes, const std::string& what);
  [[noreturn]] void refuse(const std::string& sentence,
                           std::string remedy = "fetch the file again") const;

  uint64_t position() const { return position_; }
  uint64_t remaining() const { return file_.size() - position_; }
  std::span<const std::byte> file() const { return file_; }

 private:
  const std::byte* bytes(uint64_t count, const std::string& what);

  std::span<const std::byte> file_;
  const std::filesystem::path& path_;
  uint64_t position_ = 0;
  uint64_t charged_ = 0;
};

struct GgufPreamble {
  uint32_t version = 0;
  uint64_t num_tensors = 0;
  uint64_t num_keys = 0;
};

/// @throws DataError for another magic number, version, byte order, or counts that the file has no
/// room for
GgufPreamble read_gguf_preamble(GgufCursor& cursor);

/// Keys and values. Nested lists are refused. @throws DataError naming the key
GgufMetadata read_gguf_metadata(GgufCursor& cursor, uint64_t num_keys);

}  // namespace qtk::format
