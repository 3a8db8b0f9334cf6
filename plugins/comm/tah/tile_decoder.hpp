// Decoding of tiles: y = q s + z, and the inverse rotation of those that were rotated.
#pragma once

#include "message_layout.hpp"

namespace qtk::tah {

/// Writes layout.tiles * layout.n values. @throws DataError if the message is damaged
void decode_tiles(const uint8_t* wire, const Settings& settings, const Layout& layout, float* x);

}  // namespace qtk::tah
