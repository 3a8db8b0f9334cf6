#include "model/weight_only_packing.hpp"

#include <qtk/bit_packing.hpp>
#include <qtk/runtime/check.hpp>
#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>

#include <sstream>

namespace qtk::model {
namespace {

struct Matrix {
  int64_t rows = 1, columns = 1;
};

/// [first dimension, all others]
Matrix matrix_shape(const at::Tensor& tensor) {
  if (tensor.dim() == 0) return {};
  if (tensor.dim() == 1) return {1, tensor.size(0)};
  int64_t columns = 1;
  for (const int64_t size : tensor.sizes().slice(1)) columns *= size;
  return {tensor.size(0), columns};
}

Matrix code_shape(const LinearSite& site) { return {site.out_features, site.in_features}; }

int64_t offset(const at::Tensor& codes, int bits) {
  return codes.scalar_type() == at::kChar ? int64_t{1} << (bits - 1) : 0;
}

/// Bytes are added modulo 256, which maps exactly the codes in range to [0, 2^bits): pack_bits()
/// sees the others.
at::Tensor to_unsigned(const at::Tensor& codes, int bits) {
  const at::Tensor bytes = codes.to(at::kCPU).contiguous().view(at::kByte);
  const int64_t added = offset(codes, bits);
  return added ? bytes + added : bytes;
}

at::Tensor from_unsigned(const at::Tensor& bytes, const Quantized& prototype) {
  const int64_t added = offset(prototype.codes, prototype.bits);
  const at::Tensor codes = added ? (bytes - added).view(at::kChar) : bytes;
  return codes.reshape(prototype.codes.sizes());
}

at::Tensor pack(const at::Tensor& values, int bits, Matrix shape) {
  return pack_bits(to_unsigned(values, bits).reshape({shape.rows, shape.columns}), bits);
}

at::Tensor packed_meta(Matrix shape, int bits) {
  return at::empty({shape.rows, (shape.columns * bits + 7) / 8},
                   at::dtype(at::kByte).device(at::kMeta));
}

}  // namespace

std::string tensor_text(const at::Tensor& tensor) {
  if (!tensor.defined()) return "undefined";
  std::ostringstream text;
  text << tensor.scalar_type() << " " << tensor.sizes();
  return text.str();
}

void check_quantized(const LinearSite& site, const Quantized& q) {
  QTK_CHECK(q.bits >= 1 && q.bits <= 8, "quantize() of ", site.name, " gave bits ", q.bits,
            ", expected 1 to 8");
  const bool is_code_dtype = q.codes.defined() && (q.codes.scalar_type() == at::kByte ||
                                                   q.codes.scalar_type() == at::kChar);
  QTK_CHECK(is_code_dtype && q.codes.numel() == site.numel(), "quantize() of ", site.name,
            " gave codes ", tensor_text(q.codes), ", expected ", site.numel(),
            " of dtype uint8 or int8");
  QTK_CHECK(q.scales.defined() && q.scales.is_floating_point(), "quantize() of ", site.name,
            " gave scales ", tensor_text(q.scales), ", expected a floating dtype");
  QTK_CHECK(!q.zeros.defined() || q.zeros.scalar_type() == at::kByte, "quantize() of ", site.name,
            " gave zeros ", tensor_text(q.zeros), ", expected dtype uint8");
}

PackedWeight pack_quantized(const LinearSite& site, const Quantized& q) {
  check_quantized(site, q);
  PackedWeight packed;
  packed.tensors["codes"] = pack(q.codes, q.bits, code_shape(site));
  // A copy, because the layer's own tensor may change while the packed weight is being written.
  packed.tensors["scales"] = q.scales.detach().to(at::kCPU).clone(at::MemoryFormat::Contiguous);
  if (q.zeros.defined()) packed.tensors["zeros"] = pack(q.zeros, q.bits, matrix_shape(q.zeros));
  return packed;
}

PackedWeight packed_layout(const LinearSite& site, const Quantized& prototype) {
  PackedWeight layout;
  layout.tensors["codes"] = packed_meta(code_shape(site), prototype.bits);
  layout.tensors["scales"] =
      at::empty(prototype.scales.sizes(), prototype.scales.options().device(at::kMeta));
  if (prototype.zeros.defined())
    layout.tensors["zeros"] = packed_meta(matrix_shape(prototype.zeros), prototype.bits);
  return layout;
}

Quantized unpack_quantized(const LinearSite& site, const PackedWeight& packed,
                           const Quantized& prototype) {
  const PackedWeight layout = packed_layout(site, prototype);
  constexpr const char* kRemedy = "the file was written with other options, or is damaged";
  for (const auto& [name, tensor] : packed.tensors)
    if (!layout.tensors.contains(name))
      throw DataError("unknown tensor " + site.name + "." + name + " in a packed weight", kRemedy);
  for (const auto& [name, expected] : layout.tensors) {
    const auto found = packed.tensors.find(name);
    if (found == packed.tensors.end())
      throw DataError("tensor " + site.name + "." + name + " is missing from a packed weight",
                      kRemedy);
    if (!found->second.defined() || found->second.sizes() != expected.sizes() ||
        found->second.scalar_type() != expected.scalar_type())
      throw DataError("tensor " + site.name + "." + name + " is " + tensor_text(found->second) +
                          ", expected " + tensor_text(expected),
                      kRemedy);
  }
  const auto codes = [&](const char* name, Matrix shape) {
    return unpack_bits(packed.tensors.at(name).to(at::kCPU), prototype.bits, shape.columns);
  };
  Quantized q;
  q.bits = prototype.bits;
  q.codes = from_unsigned(codes("codes", code_shape(site)), prototype);
  q.scales = packed.tensors.at("scales");
  if (prototype.zeros.defined())
    q.zeros = codes("zeros", matrix_shape(prototype.zeros)).reshape(prototype.zeros.sizes());
  return q;
}

}  // namespace qtk::model
