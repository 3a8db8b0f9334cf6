#include "trace/probing.hpp"

#include <qtk/runtime/check.hpp>

#include <ATen/ATen.h>

#include <cmath>

namespace qtk::trace {

at::Tensor rademacher(RandomStream stream, at::IntArrayRef shape,
                      const at::TensorOptions& options) {
  const int64_t count = c10::multiply_integers(shape);
  constexpr int64_t kBits = 64;
  auto words = at::empty({(count + kBits - 1) / kBits}, at::kLong);
  for (auto& word :
       std::span(words.mutable_data_ptr<int64_t>(), static_cast<size_t>(words.numel())))
    word = static_cast<int64_t>(stream.next_u64());
  // Bytes, so that temporaries are no larger than the result.
  const auto bytes = words.to(options.device()).view(at::kByte).unsqueeze(1);
  const auto shifts = at::arange(8, at::TensorOptions(at::kByte).device(options.device()));
  const auto bits = at::bitwise_right_shift(bytes, shifts).bitwise_and_(1);
  return bits.flatten().slice(0, 0, count).to(options.dtype()).mul_(2).sub_(1).reshape(shape);
}

at::Tensor site_signs(const RunContext& context, const std::string& purpose, int64_t batch,
                      int64_t index, const LinearSite& site, const at::Tensor& like) {
  const int64_t number = (batch << 32) | index;
  return rademacher(context.random(purpose, number, site.name), like.sizes(), like.options());
}

Probes site_probes(const RunContext& context, const std::string& purpose, const LinearSite& site,
                   const at::Tensor& like) {
  return [=, &context](int64_t batch, int64_t index) {
    return site_signs(context, purpose, batch, index, site, like).flatten();
  };
}

MeanMatrix site_hessian(ModelProbe& probe, int64_t site, const HessianOptions& options) {
  const auto shape = probe.weight(site).sizes().vec();
  return {.dimension = c10::multiply_integers(shape),
          .num_batches = std::ssize(probe.batch_sizes()),
          .open = [&probe, site, options, shape](int64_t batch) -> MatrixVector {
            const int64_t sites[] = {site};
            return [product = probe.hessian(batch, sites, options), shape](const at::Tensor& v) {
              const at::Tensor vector[] = {v.reshape(shape)};
              return product(vector).front().flatten();
            };
          }};
}

std::vector<int64_t> all_sites(const ModelProbe& probe) {
  std::vector<int64_t> sites(probe.sites().size());
  std::iota(sites.begin(), sites.end(), 0);
  return sites;
}

std::vector<double> to_values(const Estimate& estimate) {
  return {estimate.value, estimate.standard_error, estimate.sampling_error,
          estimate.is_target_missed ? 1.0 : 0.0};
}

Estimate from_values(std::span<const double> values) {
  QTK_CHECK(values.size() == 4, "an estimate has four numbers, not ", values.size());
  return {values[0], values[1], values[2], values[3] != 0};
}

SensitivityEntry entry_of(const LinearSite& site, const Estimate& estimate) {
  SensitivityEntry entry{.site = site.name,
                         .value = estimate.value,
                         .standard_error = estimate.standard_error,
                         .num_parameters = site.numel(),
                         .sampling_error = estimate.sampling_error};
  if (estimate.value < 0) entry.flags.emplace_back("negative");
  if (!std::isfinite(estimate.value)) entry.flags.emplace_back("not_finite");
  if (estimate.is_target_missed) entry.flags.emplace_back("target_error_missed");
  return entry;
}

}  // namespace qtk::trace
