// Uniform grids in the `pack-quantized` format of the Python package compressed-tensors, which
// transformers and vLLM load (vLLM has kernels for 4 and 8 bits; other widths are storage).
//
// Conventions there, beside those of UniformGrid:
//   codes are signed, q in [-2^(b-1), 2^(b-1)), and are stored as the unsigned q + 2^(b-1)
//   weight = (q - zero_point) * scale; a symmetric scheme has no zero points
//   an unsigned grid's code u is stored as it is, its zero z becomes z - 2^(b-1) and is stored as z
//
//   weight_packed      int32 [out, ceil(in * b / 32)]
//                      a row's codes as one stream of bits, lowest first, over its words
//   weight_scale       [out, groups]
//   weight_shape       int64 [2]: out, in
//   weight_zero_point  int32 [ceil(out * b / 32), groups]; asymmetric only
//                      the same kind of stream, running down each column
//
// Releases of the package before mid 2026 left unused bits in each word for 3, 5, 6 and 7 bits;
// such files are refused.
#pragma once

#include <qtk/api/packed_weight.hpp>

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>
#include <nlohmann/json_fwd.hpp>

#include <compare>
#include <cstdint>
#include <map>
#include <span>
#include <string>

namespace qtk::format {

/// What one `config_groups` entry says about weights.
struct CompressedScheme {
  int bits = 4;
  int64_t group_size = -1;  // columns that share a scale; -1: one scale per output channel
  bool is_symmetric = true;

  auto operator<=>(const CompressedScheme&) const = default;
};

/// Symmetric if every zero lies in the middle of the code range (0 for signed codes, 2^(b-1) for
/// unsigned ones).
CompressedScheme compressed_scheme(const UniformGrid& grid);

using TensorMap = std::map<std::string, at::Tensor>;

/// The tensors above, by local name. The weight they give is the grid's, as far as `scale_dtype`
/// holds the scales.
/// @param where names the site in messages
/// @throws ConfigError if the format cannot hold the grid: bits beyond 1 to 8, groups that do not
/// divide the columns, zeros outside the code range. Error if codes leave their range or shapes
/// disagree
TensorMap pack_quantized(const UniformGrid& grid, const std::string& where,
                         at::ScalarType scale_dtype = at::kFloat);

/// The exact inverse. A symmetric scheme gives a signed grid with zeros 0, any other an unsigned
/// one.
/// @throws DataError naming `where` and the tensor that is missing or has another dtype, shape or
/// value
UniformGrid unpack_quantized(const CompressedScheme& scheme, const TensorMap& tensors,
                             const std::string& where);

struct CompressedSite {
  std::string name;  // of the module: "model.layers.0.self_attn.q_proj"
  CompressedScheme scheme;
};

/// The `quantization_config` of config.json. One scheme for all sites targets "Linear"; several
/// target their sites by name, as group_0, group_1, ... in order of first appearance.
/// @param ignore linear modules that stay dense, such as "lm_head"
nlohmann::json compressed_tensors_config(std::span<const CompressedSite> sites,
                                         std::span<const std::string> ignore);

}  // namespace qtk::format
