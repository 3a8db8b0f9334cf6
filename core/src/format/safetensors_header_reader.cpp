#include "format/safetensors_header_reader.hpp"

#include "format/file_refusal.hpp"
#include "format/strict_json.hpp"

#include <qtk/runtime/error.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <limits>
#include <utility>

namespace qtk::format {
namespace {

using nlohmann::json;

constexpr size_t kMaxHeaderTensors = 1'000'000;
constexpr size_t kMaxHeaderDims = 8;
constexpr size_t kMaxMetadata = 100'000;

/// Takes the parser's events and keeps only what the format allows. One entry is built at a time; a
/// document tree would cost ten times the memory.
class HeaderReader : public nlohmann::json_sax<json> {
 public:
  HeaderReader(const std::filesystem::path& path, SafetensorsHeader& header,
               std::vector<int64_t>& ends)
      : path_(path), header_(header), ends_(ends) {}

  bool start_object(std::size_t) override {
    if (level_ == Level::kStart)
      level_ = Level::kTop;
    else if (level_ == Level::kEntry)
      open_entry();
    else
      unexpected("an object");
    return true;
  }

  bool key(std::string& text) override {
    if (level_ == Level::kTop) {
      entry_ = std::move(text);
      level_ = Level::kEntry;
    } else if (level_ == Level::kMetadata) {
      key_ = std::move(text);
    } else {
      open_field(text);
    }
    return true;
  }

  bool end_object() override {
    if (level_ == Level::kTensor) close_tensor();
    level_ = level_ == Level::kTop ? Level::kEnd : Level::kTop;
    return true;
  }

  bool string(std::string& text) override {
    if (level_ == Level::kMetadata)
      add_metadata(text);
    else if (level_ == Level::kTensor && field_ == Field::kDtype)
      set_dtype(text);
    else
      unexpected("text");
    return true;
  }

  bool start_array(std::size_t) override {
    if (level_ != Level::kTensor || in_array_ ||
        (field_ != Field::kShape && field_ != Field::kOffsets))
      unexpected("a list");
    in_array_ = true;
    return true;
  }

  bool end_array() override {
    in_array_ = false;
    return true;
  }

  bool number_unsigned(uint64_t value) override {
    if (!in_array_) unexpected("a number");
    if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
      refuse_file(path_, in_entry() + " " + field_name() + " holds " + std::to_string(value) +
                             ", which is beyond 2^63");
    auto& list = field_ == Field::kShape ? shape_ : range_;
    if (list.size() == (field_ == Field::kShape ? kMaxHeaderDims : 2))
      refuse_file(path_, in_entry() + " " + field_name() + " has more than " +
                             std::to_string(list.size()) + " numbers");
    list.push_back(static_cast<int64_t>(value));
    return true;
  }

  bool number_integer(int64_t value) override {
    if (in_array_)
      refuse_file(path_, in_entry() + " " + field_name() + " holds the negative number " +
                             std::to_string(value));
    unexpected("a number");
  }
  bool number_float(double, const std::string&) override {
    unexpected("a number that is no 64-bit integer");
  }
  bool null() override { unexpected("null"); }
  bool boolean(bool) override { unexpected("a truth value"); }
  bool binary(json::binary_t&) override { unexpected("binary data"); }

  bool parse_error(std::size_t, const std::string&, const json::exception& error) override {
    refuse_file(path_, "the header is not valid JSON: " + json_fault(error.what()));
  }

 private:
  enum class Level { kStart, kTop, kEntry, kMetadata, kTensor, kEnd };
  enum class Field { kNone, kDtype, kShape, kOffsets };

  std::string in_entry() const {
    return entry_ == "__metadata__" ? "__metadata__" : "tensor '" + entry_ + "':";
  }

  const char* field_name() const {
    switch (field_) {
      case Field::kDtype:
        return "dtype";
      case Field::kShape:
        return "shape";
      case Field::kOffsets:
        return "data_offsets";
      default:
        return "entry";
    }
  }

  [[noreturn]] void unexpected(const char* found) const {
    if (level_ == Level::kStart)
      refuse_file(path_, std::string("the header is ") + found + ", expected an object");
    if (level_ == Level::kMetadata)
      refuse_file(path_, "__metadata__ '" + key_ + "' is " + found + ", expected text");
    if (level_ == Level::kEntry)
      refuse_file(path_, in_entry() + " is " + found + ", expected an object");
    const char* expected = field_ == Field::kDtype ? "text" : "a list of whole numbers";
    refuse_file(path_, in_entry() + " " + field_name() + " is or holds " + found + ", expected " +
                           expected);
  }

  void open_entry() {
    if (entry_ == "__metadata__") {
      if (has_metadata_) refuse_file(path_, "__metadata__ appears twice in the header");
      has_metadata_ = true;
      level_ = Level::kMetadata;
      return;
    }
    if (header_.tensors.size() == kMaxHeaderTensors)
      refuse_file(path_,
                  "the header names more than " + std::to_string(kMaxHeaderTensors) + " tensors");
    has_dtype_ = has_shape_ = has_range_ = false;
    shape_.clear();
    range_.clear();
    field_ = Field::kNone;
    level_ = Level::kTensor;
  }

  void open_field(const std::string& name) {
    bool* seen = nullptr;
    if (name == "dtype")
      field_ = Field::kDtype, seen = &has_dtype_;
    else if (name == "shape")
      field_ = Field::kShape, seen = &has_shape_;
    else if (name == "data_offsets")
      field_ = Field::kOffsets, seen = &has_range_;
    else
      refuse_file(path_, in_entry() + " unknown field '" + name + "'");
    if (std::exchange(*seen, true)) refuse_file(path_, in_entry() + " " + name + " appears twice");
  }

  void add_metadata(std::string& text) {
    if (header_.metadata.size() == kMaxMetadata)
      refuse_file(path_, "__metadata__ has more than " + std::to_string(kMaxMetadata) + " keys");
    if (!header_.metadata.emplace(key_, std::move(text)).second)
      refuse_file(path_, "__metadata__ '" + key_ + "' appears twice");
  }

  void set_dtype(const std::string& name) {
    const auto dtype = find_safetensors_dtype(name);
    if (!dtype)
      refuse_file(path_,
                  in_entry() + " dtype '" + name + "' is not supported, expected one of " +
                      safetensors_dtype_names(),
                  "convert the tensor to one of these");
    dtype_ = *dtype;
  }

  void close_tensor() {
    if (!has_dtype_) refuse_file(path_, in_entry() + " dtype is missing");
    if (!has_shape_) refuse_file(path_, in_entry() + " shape is missing");
    if (!has_range_ || range_.size() != 2)
      refuse_file(path_, in_entry() + " data_offsets is missing or does not hold two numbers");
    check_size();
    header_.tensors.push_back({std::move(entry_), dtype_, {shape_.begin(), shape_.end()}});
    header_.offsets.push_back(range_[0]);
    ends_.push_back(range_[1]);
  }

  void check_size() const {
    int64_t bytes = static_cast<int64_t>(c10::elementSize(dtype_));
    bool is_empty = false;
    for (const int64_t size : shape_) {
      is_empty |= size == 0;
      // Zero sizes do not excuse the others: strides are computed from all of them.
      if (__builtin_mul_overflow(bytes, std::max<int64_t>(size, 1), &bytes))
        refuse_file(path_,
                    in_entry() + " shape " + json(shape_).dump() + " has more bytes than 2^63");
    }
    if (is_empty) bytes = 0;
    if (range_[0] > range_[1] || range_[1] - range_[0] != bytes)
      refuse_file(path_, in_entry() + " data_offsets [" + std::to_string(range_[0]) + ", " +
                             std::to_string(range_[1]) + "] should span " + std::to_string(bytes) +
                             " bytes for shape " + json(shape_).dump() + " of " +
                             std::string(safetensors_dtype_name(dtype_)));
  }

  const std::filesystem::path& path_;
  SafetensorsHeader& header_;
  std::vector<int64_t>& ends_;
  Level level_ = Level::kStart;
  Field field_ = Field::kNone;
  bool in_array_ = false;
  bool has_metadata_ = false, has_dtype_ = false, has_shape_ = false, has_range_ = false;
  std::string entry_, key_;
  at::ScalarType dtype_ = at::kFloat;
  std::vector<int64_t> shape_, range_;
};

}  // namespace

void parse_safetensors_header(std::string_view text, const std::filesystem::path& path,
                              SafetensorsHeader& header, std::vector<int64_t>& ends) {
  HeaderReader reader(path, header, ends);
  json::sax_parse(text, &reader);
}

}  // namespace qtk::format
