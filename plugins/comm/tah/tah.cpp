// TAH-Quant: tiles of a token, those with an outlier rotated, coded in two precisions.
#include "message_layout.hpp"
#include "tah_cuda.hpp"
#include "tile_decoder.hpp"
#include "tile_encoder.hpp"

#include <qtk/plugin.hpp>

#include <ATen/ATen.h>
#include <boundary_codec/device_codec.hpp>

#include <bit>

namespace qtk {
namespace {

struct TahOptions {
  int64_t tile_size = 64;
  int high_precision_bits = 4;
  int low_precision_bits = 3;
  double high_precision_ratio = 0.8;
  std::string allocation = "tile";
  double threshold = 2;
  std::string metadata_dtype = "bf16";
  std::string codes_for = "stored";

  static void describe(OptionSet<TahOptions>& o) {
    o.field("tile_size", &TahOptions::tile_size)
        .range(2, 256)
        .searchable()
        .original("--tile-size")
        .doc("Channels that share a zero point and a scale; a power of two.");
    o.field("high_precision_bits", &TahOptions::high_precision_bits)
        .range(1, 8)
        .unit("bit")
        .searchable()
        .original("--high-precision-bits")
        .doc("Width of a code in tokens or tiles of high precision.");
    o.field("low_precision_bits", &TahOptions::low_precision_bits)
        .range(1, 8)
        .unit("bit")
        .searchable()
        .original("--low-precision-bits")
        .doc("Width of a code in the others.");
    o.field("high_precision_ratio", &TahOptions::high_precision_ratio)
        .range(0, 1)
        .searchable(Searchable::kLinear)
        .original("--high-precision-allocation-ratio")
        .doc("Share of the tokens of a sample, or tiles of a token, with high precision.");
    o.field("allocation", &TahOptions::allocation)
        .one_of({"tile", "token", "range"})
        .paper("v2: tile; v1: token")
        .doc(
            "What gets the low precision: tiles of least entropy, tokens of least entropy, or "
            "tiles "
            "of least range after the rotation.");
    o.field("threshold", &TahOptions::threshold)
        .range(-1, 1e9)
        .paper("tau")
        .doc(
            "A tile is rotated if its largest magnitude is this many times its second; 0: always, "
            "negative: never.");
    o.field("metadata_dtype", &TahOptions::metadata_dtype)
        .one_of({"bf16", "f16"})
        .doc("Width of zero points and scales; f16 is the original's and ends at 65504.");
    o.field("codes_for", &TahOptions::codes_for)
        .one_of({"stored", "exact"})
        .doc(
            "Choose codes for the zero point and scale that the receiver sees, or, as the "
            "original, for the unrounded ones.");
  }

  void validate() const {
    if (!std::has_single_bit(static_cast<uint64_t>(tile_size)))
      throw ConfigError("tile_size is " + std::to_string(tile_size) + ", expected a power of two",
                        "try " + std::to_string(std::bit_ceil(static_cast<uint64_t>(tile_size))));
    if (low_precision_bits > high_precision_bits)
      throw ConfigError("low_precision_bits " + std::to_string(low_precision_bits) +
                            " is above high_precision_bits " + std::to_string(high_precision_bits),
                        "exchange them");
  }

  tah::Settings settings() const {
    return {.tile_size = tile_size,
            .high_bits = high_precision_bits,
            .low_bits = low_precision_bits,
            .high_ratio = high_precision_ratio,
            .allocation = allocation == "token"   ? tah::Allocation::kToken
                          : allocation == "range" ? tah::Allocation::kRange
                                                  : tah::Allocation::kTile,
            .threshold = threshold,
            .metadata = metadata_dtype == "f16" ? at::kHalf : at::kBFloat16,
            .fits_stored = codes_for == "stored"};
  }
};

class TahQuant final : public Compressor {
 public:
  explicit TahQuant(const TahOptions& options) : settings_(options.settings()) {}

  int64_t wire_bytes(const TensorSpec& spec) const override { return layout(spec).bytes; }

  void encode(const at::Tensor& x, at::Tensor& wire, const MessageInfo& info) override {
    boundary::require_spec(x, info.spec);
    boundary::require_wire(wire, message_bytes(info));
    if (info.is_warmup) return boundary::write_raw(x, wire);
    if (boundary::uses_kernels(x, "tah"))
      return tah::encode_cuda(x, settings_, layout(info.spec), wire);
    tah::encode_tiles(boundary::to_f32(x), settings_, layout(info.spec), wire.data_ptr<uint8_t>());
  }

  at::Tensor decode(const at::Tensor& wire, const MessageInfo& info) override {
    boundary::require_wire(wire, message_bytes(info));
    if (info.is_warmup) return boundary::read_raw(wire, info.spec);
    if (boundary::uses_kernels(wire, "tah"))
      return tah::decode_cuda(wire, settings_, layout(info.spec), info.spec);
    at::Tensor y = at::empty(info.spec.shape, at::kFloat);
    tah::decode_tiles(wire.const_data_ptr<uint8_t>(), settings_, layout(info.spec),
                      y.data_ptr<float>());
    return boundary::saturated(y, info.spec.dtype);
  }

 private:
  tah::Layout layout(const TensorSpec& spec) const {
    return tah::layout_of(boundary::extent_of(spec), settings_);
  }
  int64_t message_bytes(const MessageInfo& info) const {
    return info.is_warmup ? boundary::raw_bytes(info.spec) : wire_bytes(info.spec);
  }

  const tah::Settings settings_;
};

}  // namespace
}  // namespace qtk

using qtk::TahOptions;
using qtk::TahQuant;
QTK_PLUGIN(Compressor, TahQuant, TahOptions, .name = "tah", .version = "0.1.0",
           .summary = "Tiles in two precisions, those with an outlier rotated",
           .paper = "TAH-Quant, arXiv 2506.01352")
