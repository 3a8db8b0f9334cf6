#include "format/compressed_tensors.hpp"

#include <qtk/runtime/check.hpp>
#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <bit>
#include <vector>

static_assert(std::endian::native == std::endian::little);

namespace qtk::format {
namespace {

constexpr int64_t kRowsPerTask = 16;

int64_t words_for(int64_t codes, int bits) { return (codes * bits + 31) / 32; }

/// @param codes int32 [rows, n], each in [0, 2^bits). @returns int32 [rows, words]
at::Tensor pack_words(const at::Tensor& codes, int bits) {
  const auto in = codes.contiguous();
  const int64_t n = in.size(1), words = words_for(n, bits);
  auto out = at::empty({in.size(0), words}, at::kInt);
  const int32_t* source = in.const_data_ptr<int32_t>();
  int32_t* target = out.mutable_data_ptr<int32_t>();
  at::parallel_for(0, in.size(0), kRowsPerTask, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int32_t* code = source + row * n;
      int32_t* word = target + row * words;
      uint64_t stream = 0;
      int filled = 0;
      for (int64_t i = 0; i < n; ++i) {
        stream |= static_cast<uint64_t>(static_cast<uint32_t>(code[i])) << filled;
        filled += bits;
        if (filled >= 32) {
          *word++ = static_cast<int32_t>(static_cast<uint32_t>(stream));
          stream >>= 32;
          filled -= 32;
        }
      }
      if (filled > 0) *word = static_cast<int32_t>(static_cast<uint32_t>(stream));
    }
  });
  return out;
}

/// Inverse of pack_words. @returns int32 [rows, n]
at::Tensor unpack_words(const at::Tensor& packed, int bits, int64_t n) {
  const auto in = packed.contiguous();
  const int64_t words = in.size(1);
  auto out = at::empty({in.size(0), n}, at::kInt);
  const int32_t* source = in.const_data_ptr<int32_t>();
  int32_t* target = out.mutable_data_ptr<int32_t>();
  const uint32_t mask = (1u << bits) - 1;
  at::parallel_for(0, in.size(0), kRowsPerTask, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int32_t* word = source + row * words;
      int32_t* code = target + row * n;
      uint64_t stream = 0;
      int filled = 0;
      for (int64_t i = 0; i < n; ++i) {
        if (filled < bits) {
          stream |= static_cast<uint64_t>(static_cast<uint32_t>(*word++)) << filled;
          filled += 32;
        }
        code[i] = static_cast<int32_t>(static_cast<uint32_t>(stream) & mask);
        stream >>= bits;
        filled -= bits;
      }
    }
  });
  return out;
}

/// True if every element lies in [0, 2^bits).
bool is_in_range(const at::Tensor& codes, int bits) {
  return codes.numel() == 0 || ((codes >= 0) & (codes < (1 << bits))).all().item<bool>();
}

void check_shapes(const UniformGrid& grid, const std::string& where) {
  QTK_CHECK(grid.codes.dim() == 2 && grid.codes.scalar_type() == at::kInt, where,
            ": codes should be int32 [out, in]");
  QTK_CHECK(grid.group_size > 0, where, ": group_size ", grid.group_size);
  const int64_t out = grid.codes.size(0), in = grid.codes.size(1);
  const int64_t groups = (in + grid.group_size - 1) / grid.group_size;
  const std::vector<int64_t> expected{out, groups};
  QTK_CHECK(grid.scales.sizes() == expected && grid.zeros.sizes() == expected, where, ": scales ",
            grid.scales.sizes(), " and zeros ", grid.zeros.sizes(), " should be ",
            at::IntArrayRef(expected));
}

[[noreturn]] void refuse_grid(const std::string& where, const std::string& what) {
  throw ConfigError(where + " " + what + ", which compressed-tensors cannot store",
                    "export this model as dense, or quantize it with a grid that fits");
}

const at::Tensor& tensor_of(const TensorMap& tensors, const char* name,
                            const std::vector<int64_t>& shape, const std::string& where) {
  const auto found = tensors.find(name);
  if (found == tensors.end())
    throw DataError(where + "." + name + " is missing",
                    "check that the folder was fetched completely");
  if (found->second.sizes() != shape) {
    std::ostringstream text;
    text << where << "." << name << " has the shape " << found->second.sizes() << ", expected "
         << at::IntArrayRef(shape);
    throw DataError(text.str(),
                    "save the model again with a current release of compressed-tensors");
  }
  return found->second;
}

/// As tensor_of, for streams of codes.
const at::Tensor& words_of(const TensorMap& tensors, const char* name,
                           const std::vector<int64_t>& shape, const std::string& where) {
  const auto& words = tensor_of(tensors, name, shape, where);
  if (words.scalar_type() != at::kInt)
    throw DataError(
        where + "." + name + " is " + c10::toString(words.scalar_type()) + ", expected int32",
        "check that the weights are pack-quantized");
  return words;
}

std::pair<int64_t, int64_t> shape_of(const TensorMap& tensors, const std::string& where) {
  const auto shape = tensor_of(tensors, "weight_shape", {2}, where).to(at::kLong);
  const auto out = shape[0].item<int64_t>(), in = shape[1].item<int64_t>();
  constexpr int64_t kLargest = int64_t{1} << 31;
  if (out < 1 || in < 1 || out > kLargest || in > kLargest)
    throw DataError(where + ".weight_shape is [" + std::to_string(out) + ", " + std::to_string(in) +
                        "], expected two positive sizes",
                    "fetch the file again");
  return {out, in};
}

}  // namespace

CompressedScheme compressed_scheme(const UniformGrid& grid) {
  const int64_t middle = grid.is_signed ? 0 : int64_t{1} << (grid.bits - 1);
  return {.bits = grid.bits,
          .group_size = grid.group_size >= grid.codes.size(1) ? -1 : grid.group_size,
          .is_symmetric = grid.zeros.eq(middle).all().item<bool>()};
}

TensorMap pack_quantized(const UniformGrid& grid, const std::string& where,
                         at::ScalarType scale_dtype) {
  if (grid.bits < 1 || grid.bits > 8)
    refuse_grid(where, "has codes of " + std::to_string(grid.bits) + " bits");
  check_shapes(grid, where);
  const int64_t out = grid.codes.size(0), in = grid.codes.size(1);
  if (grid.group_size < in && in % grid.group_size != 0)
    refuse_grid(where, "has " + std::to_string(in) + " columns in groups of " +
                           std::to_string(grid.group_size));
  const int64_t offset = grid.is_signed ? int64_t{1} << (grid.bits - 1) : 0;
  const auto codes = grid.codes.cpu() + offset;
  QTK_CHECK(is_in_range(codes, grid.bits), where, ": a code needs more than ", grid.bits, " bits");
  TensorMap tensors{{"weight_packed", pack_words(codes, grid.bits)},
                    {"weight_scale", grid.scales.cpu().to(scale_dtype).contiguous()},
                    {"weight_shape", at::tensor({out, in}, at::kLong)}};
  if (!compressed_scheme(grid).is_symmetric) {
    const auto zeros = grid.zeros.cpu().to(at::kInt) + offset;
    if (!is_in_range(zeros, grid.bits))
      refuse_grid(where, "has zero points outside the range of its codes");
    tensors.emplace("weight_zero_point", pack_words(zeros.t(), grid.bits).t().contiguous());
  }
  return tensors;
}

UniformGrid unpack_quantized(const CompressedScheme& scheme, const TensorMap& tensors,
                             const std::string& where) {
  QTK_CHECK(scheme.bits >= 1 && scheme.bits <= 8, where, ": ", scheme.bits, " bits");
  const auto [out, in] = shape_of(tensors, where);
  const int64_t group_size = scheme.group_size < 0 ? in : scheme.group_size;
  if (group_size == 0 || in % group_size != 0)
    throw DataError(where + " has " + std::to_string(in) + " columns, which groups of " +
                        std::to_string(group_size) + " do not divide",
                    "check quantization_config in config.json");
  const int64_t groups = in / group_size;
  UniformGrid grid{.bits = scheme.bits, .is_signed = scheme.is_symmetric, .group_size = group_size};
  const auto& packed = words_of(tensors, "weight_packed", {out, words_for(in, scheme.bits)}, where);
  grid.codes = unpack_words(packed, scheme.bits, in);
  grid.scales =
      tensor_of(tensors, "weight_scale", {out, groups}, where).to(at::kFloat).contiguous();
  if (scheme.is_symmetric) {
    grid.codes -= int64_t{1} << (scheme.bits - 1);
    grid.zeros = at::zeros({out, groups}, at::kInt);
  } else {
    const auto& zeros =
        words_of(tensors, "weight_zero_point", {words_for(out, scheme.bits), groups}, where);
    grid.zeros = unpack_words(zeros.t(), scheme.bits, out).t().contiguous();
  }
  return grid;
}

nlohmann::json compressed_tensors_config(std::span<const CompressedSite> sites,
                                         std::span<const std::string> ignore) {
  using nlohmann::json;
  std::vector<std::pair<CompressedScheme, json>> groups;  // with the names of their sites
  for (const CompressedSite& site : sites) {
    auto group = std::ranges::find(groups, site.scheme, &decltype(groups)::value_type::first);
    if (group == groups.end()) group = groups.insert(group, {site.scheme, json::array()});
    group->second.push_back(site.name);
  }
  json config_groups = json::object();
  for (size_t i = 0; i < groups.size(); ++i) {
    const auto& [scheme, names] = groups[i];
    const bool is_grouped = scheme.group_size > 0;
    config_groups["group_" + std::to_string(i)] = {
        {"targets", groups.size() == 1 ? json::array({"Linear"}) : names},
        {"weights",
         {{"num_bits", scheme.bits},
          {"type", "int"},
          {"symmetric", scheme.is_symmetric},
          {"strategy", is_grouped ? "group" : "channel"},
          {"group_size", is_grouped ? json(scheme.group_size) : json()},
          {"dynamic", false}}},
        {"input_activations", nullptr},
        {"output_activations", nullptr}};
  }
  return {{"quant_method", "compressed-tensors"},
          {"format", "pack-quantized"},
          {"quantization_status", "compressed"},
          {"global_compression_ratio", nullptr},
          {"kv_cache_scheme", nullptr},
          {"ignore", std::vector<std::string>(ignore.begin(), ignore.end())},
          {"config_groups", config_groups}};
}

}  // namespace qtk::format
