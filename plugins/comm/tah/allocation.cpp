#include "allocation.hpp"

#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>

namespace qtk::tah {

at::Tensor entropy(const at::Tensor& x) {
  const at::Tensor magnitude = x.abs();
  const at::Tensor sum = magnitude.sum(-1, /*keepdim=*/false, at::kDouble);
  const at::Tensor weighted =
      at::xlogy(magnitude, magnitude).sum(-1, /*keepdim=*/false, at::kDouble);
  return at::where(sum > 0, sum.log() - weighted / sum, at::zeros_like(sum)).to(at::kFloat);
}

at::Tensor lowest(const at::Tensor& scores, int64_t low_per_row) {
  const auto order = std::get<1>(scores.sort(/*stable=*/true, /*dim=*/-1, /*descending=*/false));
  at::Tensor is_low = at::zeros(scores.sizes(), at::kByte);
  is_low.scatter_(-1, order.narrow(-1, 0, low_per_row), 1);
  return is_low.view(-1);
}

at::Tensor places(const at::Tensor& is_low, const Layout& layout) {
  at::Tensor places = at::empty({layout.units()}, at::kLong);
  const auto* low = is_low.const_data_ptr<uint8_t>();
  auto* place = places.data_ptr<int64_t>();
  int64_t count[2] = {0, 0};  // high, low
  for (int64_t unit = 0; unit < layout.units(); ++unit) place[unit] = count[low[unit]]++;
  if (count[1] != layout.rows * layout.low_per_row)
    throw DataError("a message marks " + std::to_string(count[1]) + " units as low precision, " +
                        "expected " + std::to_string(layout.rows * layout.low_per_row),
                    "both ends need the same options; else the message was damaged on its way");
  return places;
}

}  // namespace qtk::tah
