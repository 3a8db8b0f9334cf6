// What the tests of file formats share: scratch folders, files made of bytes, and the message of an
// error.
#pragma once

#include "format/safetensors.hpp"
#include "temporary_folder.hpp"

#include <qtk/runtime/error.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

namespace qtk::format {

/// Names of the files in a folder, sorted.
inline std::vector<std::string> files_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  return names;
}

inline std::filesystem::path golden(const std::string& name) {
  return std::filesystem::path(QTK_SOURCE_DIR) / "tests/golden/format" / name;
}

inline std::string read_bytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline std::filesystem::path write_bytes(const std::filesystem::path& path,
                                         std::string_view bytes) {
  std::filesystem::remove(
      path);  // ext4 flushes a file that is truncated and written again, thousands of times here
  std::ofstream(path, std::ios::binary)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return path;
}

/// Little-endian bytes of a number.
template <class T>
std::string raw(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof(T)};
}

/// A safetensors file with this header, however wrong.
inline std::string safetensors_bytes(const std::string& header, size_t data_bytes = 0) {
  return raw(uint64_t{header.size()}) + header + std::string(data_bytes, '\1');
}

/// Runs `action`, which must throw E; gives its sentence.
template <class E = DataError, class Action>
std::string message_of(Action action) {
  try {
    action();
  } catch (const E& error) {
    return error.what();
  } catch (const std::exception& error) {
    ADD_FAILURE() << "another kind of error: " << error.what();
    return {};
  }
  ADD_FAILURE() << "no error";
  return {};
}

inline void expect_contains(const std::string& text, const std::string& fragment) {
  EXPECT_NE(text.find(fragment), std::string::npos)
      << "expected: ..." << fragment << "...\nmessage:  " << text;
}

/// Bit for bit, so that NaN equals itself and -0 differs from 0.
inline void expect_same_bits(const at::Tensor& actual, const at::Tensor& expected,
                             const std::string& what) {
  ASSERT_EQ(actual.scalar_type(), expected.scalar_type()) << what;
  ASSERT_EQ(actual.sizes(), expected.sizes()) << what;
  const auto a = actual.contiguous(), b = expected.contiguous();
  EXPECT_EQ(std::string_view(static_cast<const char*>(a.const_data_ptr()), a.nbytes()),
            std::string_view(static_cast<const char*>(b.const_data_ptr()), b.nbytes()))
      << what;
}

}  // namespace qtk::format
