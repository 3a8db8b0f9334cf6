#include "dist/wire_format.hpp"

#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>
#include <xxhash.h>

#include <cstring>

namespace qtk::dist {
namespace {

uint64_t hash_of(const at::Tensor& message) {
  const at::Tensor bytes = message.cpu();
  return XXH3_64bits(bytes.const_data_ptr<uint8_t>(),
                     static_cast<size_t>(bytes.numel() - kHashBytes));
}

}  // namespace

void seal(at::Tensor& message) {
  const uint64_t hash = hash_of(message);
  at::Tensor place = at::empty({kHashBytes}, at::kByte);
  std::memcpy(place.mutable_data_ptr<uint8_t>(), &hash, kHashBytes);
  message.narrow(0, message.numel() - kHashBytes, kHashBytes).copy_(place);
}

void require_seal(const at::Tensor& message, const std::string& what) {
  uint64_t stored = 0;
  const at::Tensor end = message.narrow(0, message.numel() - kHashBytes, kHashBytes).cpu();
  std::memcpy(&stored, end.const_data_ptr<uint8_t>(), kHashBytes);
  if (stored != hash_of(message))
    throw Error("the " + what + " was damaged on the way: its hash is not that of its bytes",
                "check memory and network of both machines; start again to continue from the last "
                "checkpoint",
                ExitCode::kPeerLost, "dist");
}

}  // namespace qtk::dist
