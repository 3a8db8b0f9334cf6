#include "format/safetensors.hpp"

#include "base/nearest_name.hpp"

#include <qtk/runtime/check.hpp>
#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>

namespace qtk::format {
namespace {

/// A bool that is neither 0 nor 1 is undefined behaviour wherever it is read, so such bytes are
/// refused here.
void check_truth_values(const std::byte* begin, int64_t count, const std::string& where) {
  const auto* wrong =
      std::find_if(begin, begin + count, [](std::byte b) { return b > std::byte{1}; });
  if (wrong != begin + count)
    throw DataError(where + " holds the byte " + std::to_string(std::to_integer<int>(*wrong)) +
                        " at element " + std::to_string(wrong - begin) + ", expected 0 or 1",
                    "fetch the file again");
}

}  // namespace

SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path) {
  SafetensorsFile file;
  file.file_ = MappedFile::open(path);
  file.header_ = read_safetensors_header(file.file_->bytes(), path);
  return file;
}

size_t SafetensorsFile::find(std::string_view name) const {
  const auto index = header_.find(name);
  if (index) return *index;
  std::vector<std::string> names;
  for (const TensorInfo& tensor : header_.tensors) names.push_back(tensor.name);
  const auto nearest = nearest_name(name, names);
  throw DataError(
      path().string() + " has no tensor '" + std::string(name) + "'",
      nearest.empty() ? "check that the model fits" : "did you mean '" + nearest + "'?");
}

const TensorInfo& SafetensorsFile::info(std::string_view name) const {
  return header_.tensors[find(name)];
}

at::Tensor SafetensorsFile::tensor(std::string_view name) const {
  const size_t index = find(name);
  const TensorInfo& info = header_.tensors[index];
  const std::byte* data = file_->bytes().data() + header_.offsets[index];
  if (info.nbytes() == 0) return at::empty(info.shape, info.dtype);
  if (info.dtype == at::kBool)
    check_truth_values(data, info.nbytes(), path().string() + ": tensor '" + info.name + "'");
  if (reinterpret_cast<uintptr_t>(data) % c10::elementSize(info.dtype) != 0) {
    auto copy = at::empty(info.shape, info.dtype);
    std::memcpy(copy.mutable_data_ptr(), data, static_cast<size_t>(info.nbytes()));
    return copy;
  }
  return at::from_blob(
      const_cast<std::byte*>(data), info.shape, [owner = file_](void*) {}, info.dtype);
}

SafetensorsWriter::SafetensorsWriter(std::filesystem::path path, std::vector<TensorInfo> tensors,
                                     const std::map<std::string, std::string>& metadata)
    : file_(std::move(path)), tensors_(std::move(tensors)) {
  file_.write(encode_safetensors_header(tensors_, metadata));
  for (const TensorInfo& tensor : tensors_) data_bytes_ += tensor.nbytes();
}

void SafetensorsWriter::write(std::string_view name, const at::Tensor& tensor) {
  QTK_CHECK(next_ < tensors_.size(), "'", name, "' comes after the last of ", tensors_.size(),
            " tensors");
  const TensorInfo& expected = tensors_[next_];
  QTK_CHECK(name == expected.name, "expected the tensor '", expected.name, "' next, got '", name,
            "'");
  QTK_CHECK(tensor.scalar_type() == expected.dtype && tensor.sizes() == expected.shape, "'", name,
            "' should be ", expected.dtype, " ", at::IntArrayRef(expected.shape), ", got ",
            tensor.scalar_type(), " ", tensor.sizes());
  const auto data = tensor.detach().to(at::kCPU).contiguous();
  file_.write({static_cast<const std::byte*>(data.const_data_ptr()), data.nbytes()});
  ++next_;
}

void SafetensorsWriter::commit() {
  QTK_CHECK(next_ == tensors_.size(), "only ", next_, " of ", tensors_.size(),
            " tensors were written; '", tensors_[next_].name, "' is next");
  file_.commit();
}

}  // namespace qtk::format
