// The table of ggml types, and whole tensors through it.
#include "base/nearest_name.hpp"
#include "format/ggml_blocks.hpp"
#include "format/ggml_kernels.hpp"

#include <qtk/runtime/check.hpp>
#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <sstream>
#include <vector>

namespace qtk::format {
namespace {

using namespace kernels;

// A new type is one row here, its block above and its loops in a file of kernels. Rows
// without functions let a file that holds such tensors be opened and listed.
constexpr std::array kTypes = {
    GgmlType{0, "F32", 1, 4, dequantize_f32, quantize_f32, 3.4028234e38f},
    GgmlType{1, "F16", 1, 2, dequantize_f16, quantize_f16},
    GgmlType{2, "Q4_0", 32, sizeof(BlockQ4_0), dequantize_q4_0, quantize_q4_0},
    GgmlType{3, "Q4_1", 32, sizeof(BlockQ4_1), dequantize_q4_1, quantize_q4_1},
    GgmlType{6, "Q5_0", 32, sizeof(BlockQ5_0), dequantize_q5_0, quantize_q5_0},
    GgmlType{7, "Q5_1", 32, sizeof(BlockQ5_1), dequantize_q5_1, quantize_q5_1},
    GgmlType{8, "Q8_0", 32, sizeof(BlockQ8_0), dequantize_q8_0, quantize_q8_0},
    GgmlType{9, "Q8_1", 32, 40},
    GgmlType{10, "Q2_K", 256, 84},
    GgmlType{11, "Q3_K", 256, 110},
    GgmlType{12, "Q4_K", 256, sizeof(BlockQ4_K), dequantize_q4_k},
    GgmlType{13, "Q5_K", 256, 176},
    GgmlType{14, "Q6_K", 256, sizeof(BlockQ6_K), dequantize_q6_k},
    GgmlType{15, "Q8_K", 256, 292},
    GgmlType{16, "IQ2_XXS", 256, 66},
    GgmlType{17, "IQ2_XS", 256, 74},
    GgmlType{18, "IQ3_XXS", 256, 98},
    GgmlType{19, "IQ1_S", 256, 50},
    GgmlType{20, "IQ4_NL", 32, 18},
    GgmlType{21, "IQ3_S", 256, 110},
    GgmlType{22, "IQ2_S", 256, 82},
    GgmlType{23, "IQ4_XS", 256, 136},
    GgmlType{24, "I8", 1, 1},
    GgmlType{25, "I16", 1, 2},
    GgmlType{26, "I32", 1, 4},
    GgmlType{27, "I64", 1, 8},
    GgmlType{28, "F64", 1, 8},
    GgmlType{29, "IQ1_M", 256, 56},
    GgmlType{30, "BF16", 1, 2, dequantize_bf16, quantize_bf16, 3.3895314e38f},
    GgmlType{34, "TQ1_0", 256, sizeof(BlockTQ1_0), dequantize_tq1_0, quantize_tq1_0},
    GgmlType{35, "TQ2_0", 256, sizeof(BlockTQ2_0), dequantize_tq2_0, quantize_tq2_0},
    GgmlType{39, "MXFP4", 32, 17},
    GgmlType{40, "NVFP4", 64, 36},
    GgmlType{41, "Q1_0", 128, 18},
    GgmlType{42, "Q2_0", 64, sizeof(BlockQ2_0), dequantize_q2_0, quantize_q2_0},
};

constexpr int64_t kWeightsPerTask = 1 << 16;

template <class Keep>
std::string names_where(Keep keep) {
  std::vector<std::string> names;
  for (const GgmlType& type : kTypes)
    if (keep(type)) names.emplace_back(type.name);
  return join(names);
}

std::string number_text(float x) {
  std::ostringstream text;
  text << x;
  return text.str();
}

int64_t blocks_per_task(const GgmlType& type) {
  return std::max<int64_t>(1, kWeightsPerTask / type.block_size);
}

}  // namespace

int64_t GgmlType::row_bytes(int64_t columns) const {
  QTK_CHECK(columns % block_size == 0, "rows of ", columns, " weights are no whole number of ",
            name, " blocks of ", block_size);
  return columns / block_size * block_bytes;
}

std::span<const GgmlType> ggml_types() { return kTypes; }

const GgmlType* find_ggml_type(uint32_t id) {
  const auto* type = std::ranges::find(kTypes, id, &GgmlType::id);
  return type == kTypes.end() ? nullptr : type;
}

const GgmlType& ggml_type(std::string_view name) {
  const auto* type = std::ranges::find(kTypes, name, &GgmlType::name);
  if (type == kTypes.end())
    throw ConfigError("there is no GGUF type '" + std::string(name) + "'",
                      "qtk writes " + writable_ggml_types());
  return *type;
}

std::string readable_ggml_types() {
  return names_where([](const GgmlType& type) { return type.dequantize != nullptr; });
}

std::string writable_ggml_types() {
  return names_where([](const GgmlType& type) { return type.quantize != nullptr; });
}

at::Tensor dequantize_blocks(const GgmlType& type, std::span<const std::byte> blocks,
                             at::IntArrayRef shape, const std::string& where) {
  if (type.dequantize == nullptr)
    throw DataError(where + " is of type " + std::string(type.name) + ", which qtk cannot read",
                    "use a file in one of " + readable_ggml_types());
  auto out = at::empty(shape, at::kFloat);
  const int64_t count = out.numel() / type.block_size;
  QTK_CHECK(shape.empty() ? type.block_size == 1 : shape.back() % type.block_size == 0, where,
            ": rows of ", shape, " are no whole number of blocks");
  QTK_CHECK(static_cast<int64_t>(blocks.size()) == count * type.block_bytes, where, ": ",
            blocks.size(), " bytes for shape ", shape, " of ", type.name);
  float* data = out.mutable_data_ptr<float>();
  at::parallel_for(0, count, blocks_per_task(type), [&](int64_t begin, int64_t end) {
    type.dequantize(blocks.data() + begin * type.block_bytes, end - begin,
                    data + begin * type.block_size);
  });
  return out;
}

at::Tensor quantize_blocks(const GgmlType& type, const at::Tensor& weights,
                           const std::string& where) {
  if (type.quantize == nullptr)
    throw ConfigError(where + " cannot be written as " + std::string(type.name),
                      "qtk writes " + writable_ggml_types());
  const int64_t columns = weights.dim() == 0 ? 1 : weights.size(-1);
  if (columns % type.block_size != 0)
    throw ConfigError(where + " has rows of " + std::to_string(columns) +
                          " weights, which blocks of " + std::to_string(type.block_size) + " (" +
                          std::string(type.name) + ") do not divide",
                      "write this tensor as F16 or BF16");
  const auto x = weights.detach().to(at::kCPU, at::kFloat).contiguous();
  auto shape = x.sizes().vec();
  if (shape.empty()) shape.push_back(1);
  shape.back() = type.row_bytes(columns);
  auto out = at::empty(shape, at::kByte);
  const int64_t count = x.numel() / type.block_size;
  const float* in = x.const_data_ptr<float>();
  auto* bytes = reinterpret_cast<std::byte*>(out.mutable_data_ptr<uint8_t>());
  std::atomic<bool> fits{true};
  at::parallel_for(0, count, blocks_per_task(type), [&](int64_t begin, int64_t end) {
    const float* part = in + begin * type.block_size;
    if (!all_within(part, (end - begin) * type.block_size, type.limit))
      fits = false;
    else
      type.quantize(part, end - begin, bytes + begin * type.block_bytes);
  });
  if (!fits)
    throw DataError(where + " holds NaN, infinity or a weight beyond " + number_text(type.limit) +
                        ", which " + std::string(type.name) + " cannot store",
                    "check the training run that made it, or write the tensor as F32");
  return out;
}

}  // namespace qtk::format
