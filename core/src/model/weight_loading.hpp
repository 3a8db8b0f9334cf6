// From a folder's tensors to a decoder's: every name and shape of the layout is checked before
// anything is used.
#pragma once

#include "format/safetensors.hpp"
#include "model/decoder.hpp"
#include "model/tensor_layout.hpp"

#include <map>
#include <string>

namespace qtk::model {

/// Tensors by their name in the layout, on the device and in the dtype of the options. Without a
/// change of either they alias the mapped file, unless options.is_writable.
/// @throws DataError listing all missing tensors; naming a tensor of another shape or of a dtype
/// without fractions
std::map<std::string, at::Tensor> load_weights(const format::TensorFolder& folder,
                                               const Family& family, const DecoderConfig& config,
                                               const LoadOptions& options);

}  // namespace qtk::model
