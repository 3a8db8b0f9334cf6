#include "latent_weight/coded_weight.hpp"

#include "latent_weight/base3.hpp"

#include <qtk/bit_packing.hpp>
#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <map>
#include <sstream>

namespace qtk::latent {
namespace {

std::string tensor_text(const at::Tensor& tensor) {
  if (!tensor.defined()) return "undefined";
  std::ostringstream text;
  text << tensor.scalar_type() << " " << tensor.sizes();
  return text.str();
}

int64_t row_bytes(const CodeLayout& layout) {
  return layout.packing == CodePacking::kBase3 ? base3_bytes(layout.codes[1])
                                               : (layout.codes[1] * layout.bits + 7) / 8;
}

/// The packed tensors without memory.
std::map<std::string, at::Tensor> packed_meta(const CodeLayout& layout) {
  const auto meta = [](at::IntArrayRef shape, at::ScalarType dtype) {
    return at::empty(shape, at::dtype(dtype).device(at::kMeta));
  };
  std::map<std::string, at::Tensor> tensors;
  tensors["codes"] = meta({layout.codes[0], row_bytes(layout)}, at::kByte);
  tensors["scales"] = meta(layout.scales, layout.scale_dtype);
  if (!layout.zeros.empty()) tensors["zeros"] = meta(layout.zeros, at::kShort);
  return tensors;
}

/// A copy, because the layer's own tensor may change while the packed weight is being written.
at::Tensor cpu_copy(const at::Tensor& tensor) {
  return tensor.detach().to(at::kCPU).clone(at::MemoryFormat::Contiguous);
}

/// Codes beyond the levels, which a damaged file may hold, count as 0.
template <class T>
void decode_loop(const uint8_t* codes, const at::Tensor& levels, const T* scales,
                 const Grouping& grouping, T* weight) {
  std::array<T, 256> table{};
  std::copy_n(levels.const_data_ptr<T>(), levels.numel(), table.begin());
  constexpr int64_t kRun = 4096;
  const int64_t count = grouping.count * grouping.size;
  at::parallel_for(0, (count + kRun - 1) / kRun, 8, [&](int64_t from, int64_t to) {
    for (int64_t i = from * kRun; i < std::min(to * kRun, count);) {
      const int64_t group = i / grouping.size;
      const int64_t end = std::min({(group + 1) * grouping.size, to * kRun, count});
      for (; i < end; ++i) weight[i] = table[codes[i]] * scales[group];
    }
  });
}

void check_packed(const LinearSite& site, const PackedWeight& packed,
                  const std::map<std::string, at::Tensor>& expected) {
  constexpr const char* kRemedy = "the file was written with other options, or is damaged";
  for (const auto& [name, tensor] : packed.tensors)
    if (!expected.contains(name))
      throw DataError("unknown tensor " + site.name + "." + name + " in a packed weight", kRemedy);
  for (const auto& [name, meta] : expected) {
    const auto found = packed.tensors.find(name);
    if (found == packed.tensors.end())
      throw DataError("tensor " + site.name + "." + name + " is missing from a packed weight",
                      kRemedy);
    const at::Tensor& tensor = found->second;
    if (!tensor.defined() || tensor.sizes() != meta.sizes() ||
        tensor.scalar_type() != meta.scalar_type())
      throw DataError("tensor " + site.name + "." + name + " is " + tensor_text(tensor) +
                          ", expected " + tensor_text(meta),
                      kRemedy);
  }
}

}  // namespace

WeightCodec::~WeightCodec() = default;

std::optional<UniformGrid> WeightCodec::grid(const LinearSite&, const CodedWeight&) const {
  return std::nullopt;
}

CodedWeight to_device(const CodedWeight& coded, at::Device device) {
  return {coded.codes.to(device), coded.scales.to(device),
          coded.zeros.defined() ? coded.zeros.to(device) : coded.zeros};
}

CodedWeight as_stored(const CodedWeight& coded, const CodeLayout& layout) {
  return {coded.codes, coded.scales.to(layout.scale_dtype), coded.zeros};
}

at::Tensor decode_levels(const CodedWeight& coded, const std::vector<double>& levels,
                         const Grouping& grouping) {
  const auto dtype = coded.scales.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const at::Tensor scales = coded.scales.to(dtype).contiguous();
  const at::Tensor table = at::tensor(levels, at::kDouble).to(dtype);
  if (!coded.codes.is_cpu()) {
    const at::Tensor values = table.to(coded.codes.device()).index({coded.codes.to(at::kInt)});
    return (values.reshape({grouping.count, grouping.size}) * scales.reshape({-1, 1}))
        .reshape(coded.codes.sizes());
  }
  const at::Tensor codes = coded.codes.contiguous();
  at::Tensor weight = at::empty(codes.sizes(), dtype);
  AT_DISPATCH_FLOATING_TYPES(dtype, "decode_levels", [&] {
    decode_loop(codes.const_data_ptr<uint8_t>(), table, scales.const_data_ptr<scalar_t>(), grouping,
                weight.data_ptr<scalar_t>());
  });
  return weight;
}

at::Tensor unpack_codes(const at::Tensor& packed, const CodeLayout& layout) {
  const at::Tensor codes = packed.to(at::kCPU);
  return layout.packing == CodePacking::kBase3 ? unpack_base3(codes, layout.codes[1])
                                               : unpack_bits(codes, layout.bits, layout.codes[1]);
}

PackedWeight pack(const CodedWeight& coded, const CodeLayout& layout) {
  const at::Tensor codes = coded.codes.to(at::kCPU).contiguous();
  PackedWeight packed;
  packed.tensors["codes"] =
      layout.packing == CodePacking::kBase3 ? pack_base3(codes) : pack_bits(codes, layout.bits);
  packed.tensors["scales"] = cpu_copy(coded.scales.to(layout.scale_dtype));
  if (coded.zeros.defined()) packed.tensors["zeros"] = cpu_copy(coded.zeros);
  return packed;
}

int64_t storage_bits(const CodeLayout& layout) {
  int64_t bytes = 0;
  for (const auto& [name, meta] : packed_meta(layout))
    bytes += meta.numel() * static_cast<int64_t>(meta.element_size());
  return 8 * bytes;
}

CodedWeight unpack(const LinearSite& site, const PackedWeight& packed, const CodeLayout& layout) {
  check_packed(site, packed, packed_meta(layout));
  CodedWeight coded;
  coded.codes = unpack_codes(packed.tensors.at("codes"), layout);
  coded.scales = packed.tensors.at("scales");
  if (!layout.zeros.empty()) coded.zeros = packed.tensors.at("zeros");
  return coded;
}

}  // namespace qtk::latent
