// The options that every method with fixed-point codes on the wire has.
#pragma once

#include <qtk/options/option_set.hpp>
#include <qtk/storage_dtype.hpp>

#include <boundary_codec/fixpoint.hpp>

#include <string>

namespace qtk::boundary {

struct FixpointOptions {
  int bits = 8;
  std::string scale_method = "max";
  std::string scale_per = "channel";
  std::string scale_dtype = "f32";

  Fixpoint form() const {
    return {.bits = bits,
            .is_l2 = scale_method == "l2",
            .scale_per = scale_per == "channel"          ? ScalePer::kChannel
                         : scale_per == "sample_channel" ? ScalePer::kSampleChannel
                         : scale_per == "token"          ? ScalePer::kToken
                                                         : ScalePer::kTensor,
            .scale_dtype = storage_dtype(scale_dtype)};
  }
};

/// Adds them to the options of a method, which derive from FixpointOptions.
template <class Options>
void describe_fixpoint(OptionSet<Options>& o) {
  o.template field<int>("bits", &Options::bits)
      .range(1, 8)
      .unit("bit")
      .searchable()
      .original("--forward-bits, --backward-bits")
      .doc("Width of a code on the wire.");
  o.template field<std::string>("scale_method", &Options::scale_method)
      .one_of({"max", "l2"})
      .original("--forward-scale-method, --backward-scale-method")
      .doc("Largest magnitude, or twice the root of the mean square with larger values clipped.");
  o.template field<std::string>("scale_per", &Options::scale_per)
      .one_of({"channel", "sample_channel", "token", "tensor"})
      .original("--forward-scale-dims, --backward-scale-dims")
      .doc("Elements that share a scale; in the original (0,1), (1), (2) and ().");
  o.template field<std::string>("scale_dtype", &Options::scale_dtype)
      .one_of({"f32", "bf16", "f16"})
      .doc("Width of a scale on the wire; f16 is the original's and loses tensors below 6e-8.");
}

}  // namespace qtk::boundary
