// Options of every quantizer with one scale per group: members `group_size` and `scale_dtype`.
#pragma once

#include <qtk/options/option_set.hpp>
#include <qtk/storage_dtype.hpp>

#include <cstdint>
#include <string>

namespace qtk::latent {

template <class Options>
void describe_scales(OptionSet<Options>& o) {
  o.field("group_size", &Options::group_size)
      .range(-1, 1 << 20)
      .searchable()
      .original("group_size")
      .doc(
          "Input channels that share a scale; -1: one scale per output channel, 0: one per "
          "tensor.");
  o.field("scale_dtype", &Options::scale_dtype)
      .one_of({"f32", "f16", "bf16"})
      .doc("Stored width of a scale; the hard form multiplies by the rounded scale.");
}

}  // namespace qtk::latent
