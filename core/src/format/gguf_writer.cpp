#include "format/gguf.hpp"

#include <qtk/runtime/check.hpp>

#include <ATen/ATen.h>

#include <bit>
#include <cmath>
#include <limits>

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

namespace qtk::format {
namespace {

constexpr int64_t kAlignment = 32;
constexpr size_t kMaxGgmlNameBytes = 63;  // ggml keeps names in 64 bytes
constexpr size_t kMaxWrittenKeyBytes = 65'535;

int64_t padded(int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

void put_text(std::string& out, std::string_view text) {
  put(out, static_cast<uint64_t>(text.size()));
  out += text;
}

template <class To>
To narrow(std::string_view key, int64_t value) {
  QTK_CHECK(value >= std::numeric_limits<To>::min() && value <= std::numeric_limits<To>::max(),
            "the GGUF key '", key, "' cannot hold ", value);
  return static_cast<To>(value);
}

float narrow_real(std::string_view key, double value) {
  const auto narrowed = static_cast<float>(value);
  QTK_CHECK(std::isfinite(narrowed) || !std::isfinite(value), "the GGUF key '", key,
            "' cannot hold ", value);
  return narrowed;
}

void check_tensor(const GgufTensor& tensor) {
  QTK_CHECK(!tensor.name.empty() && tensor.name.size() <= kMaxGgmlNameBytes,
            "the GGUF tensor name '", tensor.name, "' should have 1 to 63 bytes");
  QTK_CHECK(!tensor.shape.empty() && tensor.shape.size() <= 4, "'", tensor.name, "' has ",
            tensor.shape.size(), " dimensions, GGUF holds 1 to 4");
  QTK_CHECK(tensor.shape.back() % tensor.type->block_size == 0, "'", tensor.name, "' has rows of ",
            tensor.shape.back(), " weights, which is no whole number of ", tensor.type->name,
            " blocks");
}

std::string encode_header(const GgufFields& fields, const std::vector<GgufTensor>& tensors) {
  std::string header = "GGUF";
  put(header, uint32_t{3});
  put(header, static_cast<uint64_t>(tensors.size()));
  put(header, static_cast<uint64_t>(fields.count()));
  header += fields.bytes();
  std::set<std::string_view> names;
  int64_t offset = 0;
  for (const GgufTensor& tensor : tensors) {
    check_tensor(tensor);
    QTK_CHECK(names.insert(tensor.name).second, "the tensor name '", tensor.name,
              "' is used twice");
    put_text(header, tensor.name);
    put(header, static_cast<uint32_t>(tensor.shape.size()));
    for (auto size = tensor.shape.rbegin(); size != tensor.shape.rend(); ++size) put(header, *size);
    put(header, tensor.type->id);
    put(header, offset);
    offset += padded(tensor.nbytes());
  }
  header.resize(static_cast<size_t>(padded(static_cast<int64_t>(header.size()))));
  return header;
}

}  // namespace

void GgufFields::begin(std::string_view key, GgufType type) {
  QTK_CHECK(key != "general.alignment", "the writer sets the alignment itself");
  QTK_CHECK(!key.empty() && key.size() <= kMaxWrittenKeyBytes, "a GGUF key has 1 to 65535 bytes");
  QTK_CHECK(keys_.emplace(key).second, "the GGUF key '", key, "' is given twice");
  put_text(bytes_, key);
  put(bytes_, type);
}

void GgufFields::begin_list(std::string_view key, GgufType element, size_t count) {
  begin(key, GgufType::kList);
  put(bytes_, element);
  put(bytes_, static_cast<uint64_t>(count));
}

void GgufFields::u32(std::string_view key, int64_t value) {
  const auto narrowed = narrow<uint32_t>(key, value);
  begin(key, GgufType::kU32);
  put(bytes_, narrowed);
}

void GgufFields::u64(std::string_view key, uint64_t value) {
  begin(key, GgufType::kU64);
  put(bytes_, value);
}

void GgufFields::i32(std::string_view key, int64_t value) {
  const auto narrowed = narrow<int32_t>(key, value);
  begin(key, GgufType::kI32);
  put(bytes_, narrowed);
}

void GgufFields::f32(std::string_view key, double value) {
  const auto narrowed = narrow_real(key, value);
  begin(key, GgufType::kF32);
  put(bytes_, narrowed);
}

void GgufFields::flag(std::string_view key, bool value) {
  begin(key, GgufType::kBool);
  put(bytes_, static_cast<uint8_t>(value));
}

void GgufFields::text(std::string_view key, std::string_view value) {
  begin(key, GgufType::kText);
  put_text(bytes_, value);
}

void GgufFields::texts(std::string_view key, std::span<const std::string> values) {
  begin_list(key, GgufType::kText, values.size());
  for (const std::string& value : values) put_text(bytes_, value);
}

void GgufFields::i32s(std::string_view key, std::span<const int64_t> values) {
  begin_list(key, GgufType::kI32, values.size());
  for (const int64_t value : values) put(bytes_, narrow<int32_t>(key, value));
}

void GgufFields::f32s(std::string_view key, std::span<const double> values) {
  begin_list(key, GgufType::kF32, values.size());
  for (const double value : values) put(bytes_, narrow_real(key, value));
}

GgufWriter::GgufWriter(std::filesystem::path path, const GgufFields& fields,
                       std::vector<GgufTensor> tensors)
    : file_(std::move(path)), tensors_(std::move(tensors)) {
  file_.write(encode_header(fields, tensors_));
  for (const GgufTensor& tensor : tensors_) data_bytes_ += tensor.nbytes();
}

const GgufTensor& GgufWriter::expect_next(std::string_view name) const {
  QTK_CHECK(next_ < tensors_.size(), "'", name, "' comes after the last of ", tensors_.size(),
            " tensors");
  QTK_CHECK(name == tensors_[next_].name, "expected the tensor '", tensors_[next_].name,
            "' next, got '", name, "'");
  return tensors_[next_];
}

void GgufWriter::write(std::string_view name, const at::Tensor& weights) {
  const GgufTensor& expected = expect_next(name);
  QTK_CHECK(weights.sizes() == expected.shape, "'", name, "' should be ",
            at::IntArrayRef(expected.shape), ", got ", weights.sizes());
  const auto blocks =
      quantize_blocks(*expected.type, weights, "the tensor '" + expected.name + "'");
  write_blocks(name, {static_cast<const std::byte*>(blocks.const_data_ptr()), blocks.nbytes()});
}

void GgufWriter::write_blocks(std::string_view name, std::span<const std::byte> blocks) {
  const GgufTensor& expected = expect_next(name);
  QTK_CHECK(static_cast<int64_t>(blocks.size()) == expected.nbytes(), "'", name, "' needs ",
            expected.nbytes(), " bytes of blocks, got ", blocks.size());
  file_.write(blocks);
  static constexpr std::byte kZeros[kAlignment] = {};
  file_.write(
      std::span(kZeros).first(static_cast<size_t>(padded(expected.nbytes()) - expected.nbytes())));
  ++next_;
}

void GgufWriter::commit() {
  QTK_CHECK(next_ == tensors_.size(), "only ", next_, " of ", tensors_.size(),
            " tensors were written; '", tensors_[next_].name, "' is next");
  file_.commit();
}

}  // namespace qtk::format
