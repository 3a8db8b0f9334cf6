// 16-bit zero points and scales: f16 or bf16, always finite.
#pragma once

#include <ATen/core/ScalarType.h>
#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>

namespace qtk::tah {

template <class Narrow>
float saturated(float value) {
  const float largest = std::numeric_limits<Narrow>::max();
  return std::clamp(value, -largest, largest);
}

/// The neighbour of a finite number towards +infinity, or towards -infinity.
template <class Narrow>
Narrow next(Narrow value, bool is_up) {
  constexpr uint16_t kSign = 0x8000;
  uint16_t bits = value.x;
  if ((bits & ~kSign) == 0)
    return Narrow(is_up ? uint16_t{1} : uint16_t{kSign | 1}, Narrow::from_bits());
  const bool is_negative = bits & kSign;
  bits = static_cast<uint16_t>(is_up == is_negative ? bits - 1 : bits + 1);
  return Narrow(bits, Narrow::from_bits());
}

/// Nearest.
template <class Narrow>
Narrow nearest(float value) {
  return Narrow(saturated<Narrow>(value));
}
/// Largest that is not above `value`, and smallest that is not below; saturating.
template <class Narrow>
Narrow round_down(float value) {
  const Narrow near = nearest<Narrow>(value);
  return static_cast<float>(near) > saturated<Narrow>(value) ? next(near, /*is_up=*/false) : near;
}
template <class Narrow>
Narrow round_up(float value) {
  const Narrow near = nearest<Narrow>(value);
  return static_cast<float>(near) < saturated<Narrow>(value) ? next(near, /*is_up=*/true) : near;
}

}  // namespace qtk::tah
