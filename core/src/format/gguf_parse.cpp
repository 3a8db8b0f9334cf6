#include "format/gguf_parse.hpp"

#include "format/foreign_file.hpp"

#include <qtk/runtime/error.hpp>

#include <bit>
#include <limits>
#include <type_traits>
#include <utility>

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

namespace qtk::format {
namespace {

constexpr uint64_t kMemoryBudget = uint64_t{192} << 20;
constexpr uint64_t kMaxTensors = 1'000'000;
constexpr uint64_t kMaxKeys = 100'000;
constexpr uint64_t kMaxKeyBytes = 65'535;  // the specification's limit
constexpr uint64_t kMaxTextBytes = 64 << 20;
constexpr uint64_t kSmallestKey = 8 + 4 + 1;             // empty name, type, one byte
constexpr uint64_t kSmallestTensor = 8 + 4 + 8 + 4 + 8;  // empty name, one size
constexpr uint64_t kMapNodeBytes = 160;
constexpr uint64_t kTextBytes = sizeof(std::string) + 32;  // beside its characters

uint64_t bytes_of(GgufType type) {
  switch (type) {
    case GgufType::kU8:
    case GgufType::kI8:
    case GgufType::kBool:
      return 1;
    case GgufType::kU16:
    case GgufType::kI16:
      return 2;
    case GgufType::kU32:
    case GgufType::kI32:
    case GgufType::kF32:
      return 4;
    default:
      return 8;  // texts begin with their length
  }
}

bool read_flag(GgufCursor& cursor, const std::string& what) {
  const auto value = cursor.number<uint8_t>(what);
  if (value > 1)
    cursor.refuse(what + " is the truth value " + std::to_string(value) + ", expected 0 or 1");
  return value == 1;
}

std::string read_text(GgufCursor& cursor, const std::string& what) {
  const auto text = cursor.text(what, kMaxTextBytes);
  cursor.charge(kTextBytes + text.size(), what);
  return std::string(text);
}

/// Calls visit(number) with the number of the given type, at its own width.
template <class Visit>
auto read_number(GgufCursor& cursor, GgufType type, const std::string& what, Visit visit) {
  switch (type) {
    case GgufType::kU8:
      return visit(cursor.number<uint8_t>(what));
    case GgufType::kI8:
      return visit(cursor.number<int8_t>(what));
    case GgufType::kU16:
      return visit(cursor.number<uint16_t>(what));
    case GgufType::kI16:
      return visit(cursor.number<int16_t>(what));
    case GgufType::kU32:
      return visit(cursor.number<uint32_t>(what));
    case GgufType::kI32:
      return visit(cursor.number<int32_t>(what));
    case GgufType::kF32:
      return visit(cursor.number<float>(what));
    case GgufType::kU64:
      return visit(cursor.number<uint64_t>(what));
    case GgufType::kI64:
      return visit(cursor.number<int64_t>(what));
    default:
      return visit(cursor.number<double>(what));
  }
}

template <class T, class Read>
std::vector<T> read_elements(GgufCursor& cursor, uint64_t count, const std::string& what,
                             Read read) {
  cursor.charge(count * (std::is_same_v<T, std::string> ? 0 : sizeof(T)), what);
  std::vector<T> list;
  if constexpr (!std::is_same_v<T, std::string>) list.reserve(count);
  for (uint64_t i = 0; i < count; ++i) list.push_back(read());
  return list;
}

int64_t read_integer(GgufCursor& cursor, GgufType type, const std::string& what) {
  return read_number(cursor, type, what, [&](auto value) {
    if constexpr (std::is_same_v<decltype(value), uint64_t>)
      if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
        cursor.refuse(what + " holds " + std::to_string(value) + ", which is beyond 2^63");
    return static_cast<int64_t>(value);
  });
}

GgufType read_type(GgufCursor& cursor, const std::string& what) {
  const auto type = cursor.number<uint32_t>(what);
  if (type > static_cast<uint32_t>(GgufType::kF64))
    cursor.refuse(what + " has the type " + std::to_string(type) + ", expected 0 to 12");
  return static_cast<GgufType>(type);
}

GgufValue read_list(GgufCursor& cursor, const std::string& what) {
  const GgufType type = read_type(cursor, what);
  const auto count = cursor.number<uint64_t>(what);
  if (type == GgufType::kList)
    cursor.refuse(what + " is a list of lists, which qtk does not read",
                  "remove this key from the file");
  if (count > cursor.remaining() / bytes_of(type))
    cursor.refuse(what + " claims " + std::to_string(count) + " elements, but only " +
                  std::to_string(cursor.remaining()) + " bytes are left in the file");
  switch (type) {
    case GgufType::kBool:
      return read_elements<bool>(cursor, count, what, [&] { return read_flag(cursor, what); });
    case GgufType::kText:
      return read_elements<std::string>(cursor, count, what,
                                        [&] { return read_text(cursor, what); });
    case GgufType::kF32:
    case GgufType::kF64:
      return read_elements<double>(cursor, count, what, [&] {
        return read_number(cursor, type, what,
                           [](auto value) { return static_cast<double>(value); });
      });
    default:
      return read_elements<int64_t>(cursor, count, what,
                                    [&] { return read_integer(cursor, type, what); });
  }
}

GgufValue read_value(GgufCursor& cursor, const std::string& what) {
  const GgufType type = read_type(cursor, what);
  switch (type) {
    case GgufType::kBool:
      return read_flag(cursor, what);
    case GgufType::kText:
      return read_text(cursor, what);
    case GgufType::kList:
      return read_list(cursor, what);
    default:
      return read_number(cursor, type, what, [](auto value) -> GgufValue {
        using T = decltype(value);
        if constexpr (std::is_floating_point_v<T>)
          return static_cast<double>(value);
        else if constexpr (std::is_signed_v<T>)
          return static_cast<int64_t>(value);
        else
          return static_cast<uint64_t>(value);
      });
  }
}

}  // namespace

std::string_view GgufCursor::text(const std::string& what, uint64_t limit) {
  const auto length = number<uint64_t>(what);
  if (length > limit)
    refuse(what + " has a text of " + std::to_string(length) + " bytes, expected at most " +
           std::to_string(limit));
  return {reinterpret_cast<const char*>(bytes(length, what)), length};
}

void GgufCursor::charge(uint64_t bytes, const std::string& what) {
  // `bytes` stays below 2^63: counts were checked against the file's size.
  charged_ += bytes;
  if (charged_ > kMemoryBudget)
    refuse("the metadata needs more than " + std::to_string(kMemoryBudget >> 20) +
               " MiB of memory at " + what,
           "check that this is a model file");
}

void GgufCursor::refuse(const std::string& sentence, std::string remedy) const {
  throw DataError(path_.string() + ": " + sentence, std::move(remedy));
}

const std::byte* GgufCursor::bytes(uint64_t count, const std::string& what) {
  if (count > remaining())
    refuse("the file ends within " + what + ": " + std::to_string(count) + " bytes needed at " +
               std::to_string(position_) + ", " + std::to_string(remaining()) + " left",
           "the file is incomplete: fetch it again");
  const std::byte* data = file_.data() + position_;
  position_ += count;
  return data;
}

GgufPreamble read_gguf_preamble(GgufCursor& cursor) {
  constexpr uint32_t kMagic = 0x46554747;  // "GGUF"
  if (cursor.number<uint32_t>("the magic number") != kMagic) {
    const auto foreign = recognise_foreign_file(cursor.file());
    cursor.refuse(
        "expected a GGUF file, found " + (foreign.kind.empty() ? "other content" : foreign.kind),
        foreign.remedy);
  }
  GgufPreamble preamble;
  preamble.version = cursor.number<uint32_t>("the version");
  if (preamble.version != 0 && (preamble.version & 0xffff) == 0)
    cursor.refuse("the file is big-endian, which qtk does not read",
                  "convert the model again for little-endian machines");
  if (preamble.version != 2 && preamble.version != 3)
    cursor.refuse("the GGUF version is " + std::to_string(preamble.version) + ", expected 2 or 3",
                  "convert the model again with a current converter");
  preamble.num_tensors = cursor.number<uint64_t>("the tensor count");
  preamble.num_keys = cursor.number<uint64_t>("the key count");
  if (preamble.num_tensors > std::min(kMaxTensors, cursor.remaining() / kSmallestTensor))
    cursor.refuse("the file claims " + std::to_string(preamble.num_tensors) +
                  " tensors, which it has no room for");
  if (preamble.num_keys > std::min(kMaxKeys, cursor.remaining() / kSmallestKey))
    cursor.refuse("the file claims " + std::to_string(preamble.num_keys) +
                  " keys, which it has no room for");
  return preamble;
}

GgufMetadata read_gguf_metadata(GgufCursor& cursor, uint64_t num_keys) {
  GgufMetadata metadata;
  for (uint64_t i = 0; i < num_keys; ++i) {
    std::string key(
        cursor.text("key " + std::to_string(i) + " of " + std::to_string(num_keys), kMaxKeyBytes));
    cursor.charge(kMapNodeBytes + key.size(), "the keys");
    const auto what = "the key '" + key + "'";
    auto value = read_value(cursor, what);
    if (!metadata.values.emplace(std::move(key), std::move(value)).second)
      cursor.refuse(what + " appears twice");
  }
  return metadata;
}

}  // namespace qtk::format
