// Floating dtypes by the names that configurations use.
#pragma once

#include <qtk/runtime/error.hpp>

#include <c10/core/ScalarType.h>

#include <string>

namespace qtk {

/// "f32", "f16", "bf16". @throws ConfigError for another name
inline at::ScalarType storage_dtype(const std::string& name) {
  if (name == "f32") return at::kFloat;
  if (name == "f16") return at::kHalf;
  if (name == "bf16") return at::kBFloat16;
  throw ConfigError("unknown dtype '" + name + "'", "known: f32, f16, bf16");
}

}  // namespace qtk
