// The bytes of a message: what the compressor wrote and, if wanted, a hash of it.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

namespace qtk::dist {

inline constexpr int64_t kHashBytes = 8;

/// Writes XXH3-64 of all but the last 8 bytes into them. On a GPU this waits for the stream.
void seal(at::Tensor& message);
/// @throws Error(kPeerLost) naming `what` if the hash is not that of the bytes
void require_seal(const at::Tensor& message, const std::string& what);

}  // namespace qtk::dist
