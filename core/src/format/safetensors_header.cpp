#include "format/safetensors_header.hpp"

#include "base/nearest_name.hpp"
#include "format/file_refusal.hpp"
#include "format/foreign_file.hpp"
#include "format/safetensors_header_reader.hpp"
#include "format/strict_json.hpp"

#include <qtk/runtime/check.hpp>
#include <qtk/runtime/error.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <numeric>
#include <unordered_set>

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

namespace qtk::format {
namespace {

using nlohmann::json;

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the reference implementation's limit
constexpr JsonLimits kLimits{.depth = 8, .string_bytes = 16 << 20, .separators = 60'000'000};

struct Dtype {
  std::string_view name;
  at::ScalarType type;
};

constexpr std::array kDtypes = {
    Dtype{"BOOL", at::kBool},
    Dtype{"U8", at::kByte},
    Dtype{"I8", at::kChar},
    Dtype{"F8_E4M3", at::kFloat8_e4m3fn},
    Dtype{"F8_E5M2", at::kFloat8_e5m2},
    Dtype{"I16", at::kShort},
    Dtype{"F16", at::kHalf},
    Dtype{"BF16", at::kBFloat16},
    Dtype{"I32", at::kInt},
    Dtype{"F32", at::kFloat},
    Dtype{"I64", at::kLong},
    Dtype{"F64", at::kDouble},
};

std::string shape_json(const std::vector<int64_t>& shape) { return json(shape).dump(); }

void sort_by_name(SafetensorsHeader& header, const std::filesystem::path& path) {
  auto& order = header.by_name;
  order.resize(header.tensors.size());
  std::iota(order.begin(), order.end(), 0u);
  std::ranges::sort(order, {},
                    [&](uint32_t i) -> std::string_view { return header.tensors[i].name; });
  const auto twice = std::ranges::adjacent_find(
      order, {}, [&](uint32_t i) -> std::string_view { return header.tensors[i].name; });
  if (twice != order.end())
    refuse_file(path, "tensor '" + header.tensors[*twice].name + "' appears twice in the header");
}

/// The ranges must tile the data: no overlap, no hole, nothing left over.
void check_layout(const SafetensorsHeader& header, const std::vector<int64_t>& ends,
                  int64_t data_bytes, const std::filesystem::path& path) {
  std::vector<uint32_t> order(header.tensors.size());
  std::iota(order.begin(), order.end(), 0u);
  std::ranges::sort(order, {}, [&](uint32_t i) { return std::pair(header.offsets[i], ends[i]); });
  int64_t reached = 0;
  for (const uint32_t i : order) {
    const auto where = "tensor '" + header.tensors[i].name + "': data_offsets [" +
                       std::to_string(header.offsets[i]) + ", " + std::to_string(ends[i]) + "] ";
    if (header.offsets[i] < reached)
      refuse_file(path, where + "overlap another tensor, which ends at " + std::to_string(reached));
    if (header.offsets[i] > reached)
      refuse_file(path, where + "leave a hole after " + std::to_string(reached));
    if (ends[i] > data_bytes)
      refuse_file(path,
                  where + "reach past the end of the data, which has " +
                      std::to_string(data_bytes) + " bytes",
                  "the file is incomplete: fetch it again");
    reached = ends[i];
  }
  if (reached != data_bytes)
    refuse_file(path, "the tensors use " + std::to_string(reached) +
                          " bytes of data but the file has " + std::to_string(data_bytes));
}

std::string_view header_text(std::span<const std::byte> file, const std::filesystem::path& path) {
  const auto foreign = recognise_foreign_file(file);
  if (!foreign.kind.empty())
    refuse_file(path, "expected a safetensors file, found " + foreign.kind, foreign.remedy);
  uint64_t length = 0;
  if (file.size() < sizeof(length))
    refuse_file(path, "a safetensors file has at least 8 bytes, this one has " +
                          std::to_string(file.size()));
  std::memcpy(&length, file.data(), sizeof(length));
  if (length > kMaxHeaderBytes)
    refuse_file(path,
                "the header length is " + std::to_string(length) + ", expected at most " +
                    std::to_string(kMaxHeaderBytes),
                "check that this is a safetensors file");
  if (length > file.size() - sizeof(length))
    refuse_file(path,
                "the header of " + std::to_string(length) +
                    " bytes reaches past the end of the file (" + std::to_string(file.size()) +
                    " bytes)",
                "the file is incomplete: fetch it again");
  return {reinterpret_cast<const char*>(file.data()) + sizeof(length), length};
}

}  // namespace

std::optional<size_t> SafetensorsHeader::find(std::string_view name) const {
  const auto name_of = [this](uint32_t i) -> std::string_view { return tensors[i].name; };
  const auto found = std::ranges::lower_bound(by_name, name, {}, name_of);
  if (found == by_name.end() || tensors[*found].name != name) return std::nullopt;
  return *found;
}

SafetensorsHeader read_safetensors_header(std::span<const std::byte> file,
                                          const std::filesystem::path& path) {
  const std::string_view text = header_text(file, path);
  check_json_limits(text, path.string() + ": the header", kLimits);
  SafetensorsHeader header;
  std::vector<int64_t> ends;
  parse_safetensors_header(text, path, header, ends);
  sort_by_name(header, path);
  const auto data_begin = static_cast<int64_t>(sizeof(uint64_t) + text.size());
  check_layout(header, ends, static_cast<int64_t>(file.size()) - data_begin, path);
  for (int64_t& offset : header.offsets) offset += data_begin;
  return header;
}

std::string encode_safetensors_header(const std::vector<TensorInfo>& tensors,
                                      const std::map<std::string, std::string>& metadata) {
  std::unordered_set<std::string_view> names;
  std::string text = "{";
  if (!metadata.empty()) text += "\"__metadata__\":" + json(metadata).dump();
  int64_t offset = 0;
  for (const TensorInfo& tensor : tensors) {
    const auto dtype = safetensors_dtype_name(tensor.dtype);
    QTK_CHECK(!dtype.empty(), "safetensors cannot hold ", tensor.dtype, " (", tensor.name, ")");
    QTK_CHECK(tensor.name != "__metadata__" && names.insert(tensor.name).second,
              "the tensor name '", tensor.name, "' is reserved or used twice");
    const int64_t end = offset + tensor.nbytes();
    if (text.size() > 1) text += ',';
    text += json(tensor.name).dump() + ":{\"dtype\":\"" + std::string(dtype) +
            "\",\"shape\":" + shape_json(tensor.shape) + ",\"data_offsets\":[" +
            std::to_string(offset) + "," + std::to_string(end) + "]}";
    offset = end;
  }
  text += '}';
  text.resize((text.size() + 7) / 8 * 8, ' ');
  QTK_CHECK(text.size() <= kMaxHeaderBytes, "the header would have ", text.size(), " bytes");
  const uint64_t length = text.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof(length)) + text;
}

std::string_view safetensors_dtype_name(at::ScalarType type) {
  const auto* dtype = std::ranges::find(kDtypes, type, &Dtype::type);
  return dtype == kDtypes.end() ? std::string_view() : dtype->name;
}

std::optional<at::ScalarType> find_safetensors_dtype(std::string_view name) {
  const auto* dtype = std::ranges::find(kDtypes, name, &Dtype::name);
  return dtype == kDtypes.end() ? std::nullopt : std::optional(dtype->type);
}

std::string safetensors_dtype_names() {
  std::vector<std::string> names;
  names.reserve(kDtypes.size());
  for (const Dtype& dtype : kDtypes) names.emplace_back(dtype.name);
  return join(names);
}

}  // namespace qtk::format
