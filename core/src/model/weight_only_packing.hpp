// Between a weight in a plugin's own shapes and the tensors on disk; see WeightOnlyQuantizer for
// their layout.
#pragma once

#include <qtk/api/linear_site.hpp>
#include <qtk/weight_only.hpp>

#include <string>

namespace qtk::model {

/// @throws Error if quantize() broke a rule of Quantized: dtypes, number of codes, bits
void check_quantized(const LinearSite& site, const Quantized& quantized);

/// @throws Error if a code or zero point needs more than `bits` bits
PackedWeight pack_quantized(const LinearSite& site, const Quantized& quantized);

/// The tensors that pack_quantized() would write, without memory.
PackedWeight packed_layout(const LinearSite& site, const Quantized& prototype);

/// @param prototype  shapes, dtypes and bits of the result
/// @throws DataError if a tensor is missing, unknown, or has another shape or dtype than
/// packed_layout() says
Quantized unpack_quantized(const LinearSite& site, const PackedWeight& packed,
                           const Quantized& prototype);

/// "float [4, 2]"
std::string tensor_text(const at::Tensor& tensor);

}  // namespace qtk::model
