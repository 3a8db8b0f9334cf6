// A weight as codes and scales: between a method's arithmetic and the tensors on disk.
#pragma once

#include "latent_weight/grouping.hpp"

#include <qtk/api/linear_site.hpp>
#include <qtk/api/packed_weight.hpp>

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <vector>

namespace qtk::latent {

enum class CodePacking {
  kBits,   // qtk::pack_bits(): `bits` bits a code
  kBase3,  // five codes 0, 1, 2 a byte
};

/// What a packed weight of one shape looks like.
///
///   codes   uint8 [codes[0], bytes of codes[1] codes]
///   scales  scale_dtype, shape `scales`
///   zeros   int16, shape `zeros`; absent if that is empty
struct CodeLayout {
  std::vector<int64_t> codes;  // [rows, columns]
  std::vector<int64_t> scales;
  std::vector<int64_t> zeros;
  CodePacking packing = CodePacking::kBits;
  int bits = 8;
  at::ScalarType scale_dtype = at::kFloat;
};

/// All tensors on one device.
struct CodedWeight {
  at::Tensor codes;   // uint8, shape CodeLayout::codes, each below 2^bits or 3
  at::Tensor scales;  // scale_dtype; fp64 where a weight in fp64 was encoded
  at::Tensor zeros;   // int16, or undefined
};

/// How a method makes and reads the codes of a weight. Deterministic, without state.
class WeightCodec {
 public:
  virtual ~WeightCodec();
  /// @throws ConfigError if the method's options do not fit the site
  virtual CodeLayout layout(const LinearSite& site) const = 0;
  /// @param w_OI  fp32 or fp64, contiguous, any device
  virtual CodedWeight encode(const LinearSite& site, const at::Tensor& w_OI) const = 0;
  /// @returns [out, in] on the codes' device: fp64 if the scales are, else fp32
  virtual at::Tensor decode(const LinearSite& site, const CodedWeight& coded) const = 0;
  /// The uniform grid behind decode(), bit for bit; nothing if the codes are not uniform.
  virtual std::optional<UniformGrid> grid(const LinearSite& site, const CodedWeight& coded) const;
};

CodedWeight to_device(const CodedWeight& coded, at::Device device);
/// Scales rounded to the dtype in which they are stored.
CodedWeight as_stored(const CodedWeight& coded, const CodeLayout& layout);

/// weight = levels[code] * scale of the group; dtype and device as of WeightCodec::decode().
at::Tensor decode_levels(const CodedWeight& coded, const std::vector<double>& levels,
                         const Grouping& grouping);

/// Only the codes of a packed weight, uint8 on the CPU.
at::Tensor unpack_codes(const at::Tensor& packed, const CodeLayout& layout);

PackedWeight pack(const CodedWeight& coded, const CodeLayout& layout);
int64_t storage_bits(const CodeLayout& layout);
/// @throws DataError if a tensor is missing, unknown, or has another shape or dtype
CodedWeight unpack(const LinearSite& site, const PackedWeight& packed, const CodeLayout& layout);

}  // namespace qtk::latent
