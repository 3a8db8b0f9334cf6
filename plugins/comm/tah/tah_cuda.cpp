#include "tah_cuda.hpp"

#include "tah_kernels.hpp"

#include <qtk/runtime/check.hpp>
#include <qtk/runtime/stream.hpp>

#include <ATen/ATen.h>
#include <boundary_codec/device_codec.hpp>
#include <c10/core/DeviceGuard.h>

#include <cmath>
#include <limits>
#include <string>

namespace qtk::tah {

#ifdef QTK_HAS_CUDA
namespace {

void require_kernel(int64_t channels, const Settings& settings) {
  if (settings.tile_size < kSmallestTile)
    throw ConfigError(
        "tile_size " + std::to_string(settings.tile_size) + " is below what the CUDA kernels take",
        "use " + std::to_string(kSmallestTile) + " or more");
  const int most = most_channels(static_cast<int>(settings.tile_size));
  if (channels > most)
    throw ConfigError("a boundary of " + std::to_string(channels) +
                          " channels is wider than the CUDA kernels take with tile_size " +
                          std::to_string(settings.tile_size) + ", which is " + std::to_string(most),
                      "use a tile_size of 16 or more, or comm: fixpoint");
}

Plan plan_of(at::IntArrayRef sizes, const Settings& settings, const Layout& layout) {
  require_kernel(sizes[2], settings);
  const auto n = static_cast<double>(layout.n);
  Plan plan;
  plan.tokens = sizes[0] * sizes[1];
  plan.channels = static_cast<int>(sizes[2]);
  plan.tile = static_cast<int>(layout.n);
  plan.tiles = plan.channels / plan.tile;
  plan.row_tokens =
      settings.allocation == Allocation::kToken ? static_cast<int>(layout.units_per_row) : 0;
  plan.low_per_row = static_cast<int>(layout.low_per_row);
  plan.low_bits = settings.low_bits, plan.high_bits = settings.high_bits;
  plan.pivot_bits = layout.pivot_bits;
  plan.high_at = layout.high_at, plan.zeros_at = layout.zeros_at;
  plan.scales_at = layout.scales_at, plan.precision_at = layout.precision_at;
  plan.rotation_at = layout.rotation_at, plan.pivots_at = layout.pivots_at;
  plan.threshold = settings.threshold;
  int exponent = 0;
  plan.is_threshold_exact = settings.threshold >= 1 && settings.threshold <= 1024 &&
                            std::frexp(settings.threshold, &exponent) == 0.5;
  plan.exact_threshold = static_cast<float>(settings.threshold);
  plan.rotation_scale = 1.0F / std::sqrt(static_cast<float>(layout.n));
  plan.largest = static_cast<float>(std::numeric_limits<float>::max() / (4 * n * n));
  plan.is_range = settings.allocation == Allocation::kRange;
  plan.is_half = settings.metadata == at::kHalf;
  plan.fits_stored = settings.fits_stored;
  return plan;
}

}  // namespace

void encode_cuda(const at::Tensor& x, const Settings& settings, const Layout& layout,
                 at::Tensor& wire) {
  boundary::require_aligned(wire, x);
  const c10::DeviceGuard guard(x.device());
  const Plan plan = plan_of(x.sizes(), settings, layout);
  const at::Tensor values = boundary::aligned(x);
  const at::Tensor scores =
      at::empty({plan.row_tokens > 0 ? plan.tokens : 0}, x.options().dtype(at::kFloat));
  launch_encode(plan, values.const_data_ptr(), boundary::number_of(values.scalar_type()),
                scores.mutable_data_ptr<float>(), wire.data_ptr<uint8_t>(),
                current_stream(x.device()));
}

at::Tensor decode_cuda(const at::Tensor& wire, const Settings& settings, const Layout& layout,
                       const TensorSpec& spec) {
  boundary::require_aligned(wire, wire);
  const c10::DeviceGuard guard(wire.device());
  at::Tensor y = at::empty(spec.shape, wire.options().dtype(spec.dtype));
  launch_decode(plan_of(y.sizes(), settings, layout), wire.const_data_ptr<uint8_t>(), y.data_ptr(),
                boundary::number_of(spec.dtype), current_stream(wire.device()));
  return y;
}

#else

void encode_cuda(const at::Tensor&, const Settings&, const Layout&, at::Tensor&) {
  QTK_CHECK(false, "built without CUDA");
}
at::Tensor decode_cuda(const at::Tensor&, const Settings&, const Layout&, const TensorSpec&) {
  QTK_CHECK(false, "built without CUDA");
}

#endif

}  // namespace qtk::tah
