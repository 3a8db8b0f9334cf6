#include "base/nearest_name.hpp"
#include "format/gguf.hpp"
#include "format/gguf_parse.hpp"

#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>

namespace qtk::format {
namespace {

constexpr uint64_t kMaxDims = 4;
constexpr uint64_t kMaxNameBytes = 65'535;
constexpr uint64_t kTensorBytes =
    sizeof(GgufTensor) + 192;  // with its map node, beside two copies of its name
constexpr uint64_t kMaxAlignment = 1 << 20;

/// Sizes in row-major order whose product, in bytes, cannot overflow.
std::vector<int64_t> read_shape(GgufCursor& cursor, const std::string& what) {
  const auto dims = cursor.number<uint32_t>(what);
  if (dims < 1 || dims > kMaxDims)
    cursor.refuse(what + " has " + std::to_string(dims) + " dimensions, expected 1 to 4");
  std::vector<int64_t> shape(dims);
  int64_t bytes = 8;  // no type needs more per weight
  for (uint32_t i = 0; i < dims; ++i) {
    shape[dims - 1 - i] = cursor.number<int64_t>(what);
    const int64_t size = shape[dims - 1 - i];
    if (size < 0 || __builtin_mul_overflow(bytes, std::max<int64_t>(size, 1), &bytes))
      cursor.refuse(what + " has the size " + std::to_string(static_cast<uint64_t>(size)) +
                    ", which makes more bytes than 2^63");
  }
  return shape;
}

const GgmlType* read_ggml_type(GgufCursor& cursor, const std::string& what) {
  const auto id = cursor.number<uint32_t>(what);
  const GgmlType* type = find_ggml_type(id);
  if (type == nullptr)
    cursor.refuse(what + " has the ggml type " + std::to_string(id) + ", which qtk does not know",
                  "use a file in one of " + readable_ggml_types());
  return type;
}

uint64_t alignment_of(const GgufMetadata& metadata, const GgufCursor& cursor) {
  const int64_t alignment = metadata.integer_or("general.alignment", 32);
  if (alignment < 8 || alignment > static_cast<int64_t>(kMaxAlignment) ||
      (alignment & (alignment - 1)) != 0)
    cursor.refuse("general.alignment is " + std::to_string(alignment) +
                  ", expected a power of two from 8 to " + std::to_string(kMaxAlignment));
  return static_cast<uint64_t>(alignment);
}

}  // namespace

int64_t GgufTensor::numel() const {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

GgufFile GgufFile::open(const std::filesystem::path& path) {
  GgufFile file;
  file.file_ = MappedFile::open(path);
  GgufCursor cursor(file.file_->bytes(), path);
  const GgufPreamble preamble = read_gguf_preamble(cursor);
  file.version_ = preamble.version;
  file.metadata_ = read_gguf_metadata(cursor, preamble.num_keys);
  file.read_tensors(cursor, preamble.num_tensors);
  file.place_tensors(cursor);
  return file;
}

void GgufFile::read_tensors(GgufCursor& cursor, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) {
    GgufTensor tensor;
    tensor.name =
        cursor.text("tensor " + std::to_string(i) + " of " + std::to_string(count), kMaxNameBytes);
    cursor.charge(kTensorBytes + 2 * tensor.name.size(), "the tensor list");
    const auto what = "the tensor '" + tensor.name + "'";
    tensor.shape = read_shape(cursor, what);
    tensor.type = read_ggml_type(cursor, what);
    if (tensor.shape.back() % tensor.type->block_size != 0)
      cursor.refuse(what + " has rows of " + std::to_string(tensor.shape.back()) +
                    " weights, which is no whole number of " + std::string(tensor.type->name) +
                    " blocks of " + std::to_string(tensor.type->block_size));
    offsets_.push_back(cursor.number<uint64_t>(what));
    if (!index_.emplace(tensor.name, tensors_.size()).second)
      cursor.refuse(what + " appears twice");
    tensors_.push_back(std::move(tensor));
  }
}

/// Turns offsets into the data into offsets into the file, and checks that each tensor has its own
/// bytes.
void GgufFile::place_tensors(GgufCursor& cursor) {
  const uint64_t alignment = alignment_of(metadata_, cursor);
  const uint64_t begin = (cursor.position() + alignment - 1) / alignment * alignment;
  const uint64_t file_size = cursor.file().size();
  const uint64_t data_size = file_size - std::min(begin, file_size);
  std::vector<size_t> order(tensors_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, {},
                    [&](size_t i) { return std::pair(offsets_[i], tensors_[i].nbytes()); });
  uint64_t reached = 0;
  for (const size_t i : order) {
    const auto what =
        "the tensor '" + tensors_[i].name + "' at offset " + std::to_string(offsets_[i]);
    const auto size = static_cast<uint64_t>(tensors_[i].nbytes());
    if (offsets_[i] % alignment != 0)
      cursor.refuse(what + " is not aligned to " + std::to_string(alignment) + " bytes");
    if (offsets_[i] > data_size || size > data_size - offsets_[i])
      cursor.refuse(what + " needs " + std::to_string(size) + " bytes, but the tensor data has " +
                        std::to_string(data_size),
                    "the file is incomplete: fetch it again");
    if (offsets_[i] < reached)
      cursor.refuse(what + " overlaps another tensor, which ends at " + std::to_string(reached));
    reached = offsets_[i] + size;
    offsets_[i] += begin;
  }
}

size_t GgufFile::find(std::string_view name) const {
  if (const auto found = index_.find(name); found != index_.end()) return found->second;
  std::vector<std::string> names;
  for (const GgufTensor& tensor : tensors_) names.push_back(tensor.name);
  const auto nearest = nearest_name(name, names);
  throw DataError(
      path().string() + " has no tensor '" + std::string(name) + "'",
      nearest.empty() ? "check that the model fits" : "did you mean '" + nearest + "'?");
}

std::span<const std::byte> GgufFile::blocks(size_t index) const {
  return file_->bytes().subspan(offsets_[index], static_cast<size_t>(tensors_[index].nbytes()));
}

const GgufTensor& GgufFile::info(std::string_view name) const { return tensors_[find(name)]; }

at::Tensor GgufFile::tensor(std::string_view name) const {
  const size_t index = find(name);
  auto shape = tensors_[index].shape;
  shape.back() = tensors_[index].type->row_bytes(shape.back());
  const auto bytes = blocks(index);
  if (bytes.empty()) return at::empty(shape, at::kByte);
  return at::from_blob(
      const_cast<std::byte*>(bytes.data()), shape, [owner = file_](void*) {}, at::kByte);
}

at::Tensor GgufFile::dequantize(std::string_view name) const {
  const size_t index = find(name);
  const GgufTensor& tensor = tensors_[index];
  return dequantize_blocks(*tensor.type, blocks(index), tensor.shape,
                           path().string() + ": the tensor '" + tensor.name + "'");
}

}  // namespace qtk::format
