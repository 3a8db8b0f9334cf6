#include "trace/probing.hpp"

#include <qtk/runtime/check.hpp>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace qtk::trace {
namespace {

constexpr int64_t kSignsPerWord = 64;

int64_t words_for(int64_t count) { return (count + kSignsPerWord - 1) / kSignsPerWord; }

struct Draw {
  RandomStream stream;
  std::span<int64_t> words;
};

/// Random words [W] for all vectors: of the first site one after the other, then of the second ...
at::Tensor random_words(const RunContext& context, const ModelProbe& probe,
                        std::span<const int64_t> sites, const ProbeKey& key) {
  int64_t total = 0;
  for (const int64_t site : sites)
    total += key.count * words_for(probe.sites()[static_cast<size_t>(site)].numel());
  auto words = at::empty({total}, at::kLong);
  std::span<int64_t> rest(words.mutable_data_ptr<int64_t>(), static_cast<size_t>(total));
  std::vector<Draw> draws;
  for (const int64_t site : sites) {
    const auto& of = probe.sites()[static_cast<size_t>(site)];
    const auto length = static_cast<size_t>(words_for(of.numel()));
    for (int64_t index = key.first; index < key.first + key.count; ++index) {
      draws.push_back(
          {context.random(key.purpose, (key.batch << 32) | index, of.name), rest.first(length)});
      rest = rest.subspan(length);
    }
  }
  at::parallel_for(0, std::ssize(draws), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      auto& [stream, out] = draws[static_cast<size_t>(i)];
      for (auto& word : out) word = static_cast<int64_t>(stream.next_u64());
    }
  });
  return words;
}

/// Bits of words [W] as -1 and +1, [64 W].
at::Tensor signs_of(const at::Tensor& words, const at::TensorOptions& options) {
  // Bytes, so that temporaries are no larger than the result.
  const auto bytes = words.to(options.device()).view(at::kByte).unsqueeze(1);
  const auto shifts = at::arange(8, at::TensorOptions(at::kByte).device(options.device()));
  const auto bits = at::bitwise_right_shift(bytes, shifts).bitwise_and_(1);
  return bits.flatten().to(options.dtype()).mul_(2).sub_(1);
}

}  // namespace

std::vector<at::Tensor> signs(const RunContext& context, const ModelProbe& probe,
                              std::span<const int64_t> sites, const ProbeKey& key) {
  if (sites.empty()) return {};
  const auto flat =
      signs_of(random_words(context, probe, sites, key), probe.weight(sites[0]).options());
  std::vector<at::Tensor> of_sites;
  int64_t begin = 0;
  for (const int64_t site : sites) {
    const auto& of = probe.sites()[static_cast<size_t>(site)];
    const int64_t padded = words_for(of.numel()) * kSignsPerWord;
    of_sites.push_back(flat.narrow(0, begin, key.count * padded)
                           .view({key.count, padded})
                           .narrow(1, 0, of.numel())
                           .unflatten(1, {of.out_features, of.in_features}));
    begin += key.count * padded;
  }
  return of_sites;
}

Probes site_probes(const RunContext& context, const ModelProbe& probe, int64_t site,
                   std::string purpose) {
  return [&context, &probe, site, purpose = std::move(purpose)](int64_t batch, int64_t first,
                                                                int64_t count) {
    const int64_t sites[] = {site};
    return signs(context, probe, sites, {purpose, batch, first, count}).front().flatten(1);
  };
}

MeanMatrix site_hessian(ModelProbe& probe, int64_t site, const HessianOptions& options) {
  const auto& of = probe.sites()[static_cast<size_t>(site)];
  return {.dimension = of.numel(),
          .num_batches = std::ssize(probe.batch_sizes()),
          .vectors_at_once = options.vectors,
          .open = [&probe, &of, site, options](int64_t batch) -> MatrixProduct {
            const int64_t sites[] = {site};
            return [product = probe.hessian(batch, sites, options), &of](const at::Tensor& v_KD) {
              const at::Tensor vectors[] = {v_KD.unflatten(1, {of.out_features, of.in_features})};
              return product(vectors).front().flatten(1);
            };
          }};
}

std::vector<int64_t> all_sites(const ModelProbe& probe) {
  std::vector<int64_t> sites(probe.sites().size());
  std::iota(sites.begin(), sites.end(), 0);
  return sites;
}

at::Tensor joint_samples(const RunContext& context, const ModelProbe& probe,
                         std::span<const int64_t> sites, const HessianProduct& product,
                         const HessianOptions& options, const ProbeKey& key) {
  std::vector<at::Tensor> parts;  // each [K, sites]
  for (int64_t done = 0; done < key.count; done += options.vectors) {
    const auto vectors = signs(
        context, probe, sites,
        {key.purpose, key.batch, key.first + done, std::min(options.vectors, key.count - done)});
    const auto products = product(vectors);
    std::vector<at::Tensor> columns;
    for (size_t i = 0; i < vectors.size(); ++i)
      columns.push_back(inner_products(vectors[i], products[i]));
    parts.push_back(at::stack(columns, 1));
  }
  return at::cat(parts).cpu();
}

std::vector<double> squared_norms(std::span<const at::Tensor> tensors) {
  std::vector<at::Tensor> norms;
  for (const auto& tensor : tensors) norms.push_back(tensor.square().sum(at::kDouble));
  if (norms.empty()) return {};
  const auto numbers = at::stack(norms).cpu();
  return {numbers.const_data_ptr<double>(), numbers.const_data_ptr<double>() + numbers.numel()};
}

std::vector<double> to_values(const Estimate& estimate) {
  return {estimate.value, estimate.standard_error, estimate.sampling_error,
          estimate.is_target_missed ? 1.0 : 0.0};
}

Estimate from_values(std::span<const double> values) {
  QTK_CHECK(values.size() == 4, "an estimate has four numbers, not ", values.size());
  return {values[0], values[1], values[2], values[3] != 0};
}

double median_relative_error(std::span<const Estimate> estimates) {
  if (estimates.empty()) return 0;
  std::vector<double> errors;
  for (const auto& estimate : estimates) {
    const double error = estimate.standard_error / std::abs(estimate.value);
    errors.push_back(std::isnan(error) ? std::numeric_limits<double>::infinity() : error);
  }
  const auto middle = errors.begin() + std::ssize(errors) / 2;
  std::ranges::nth_element(errors, middle);
  return *middle;
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

SensitivityTable table_of(const ModelProbe& probe, std::string quantity,
                          std::span<const Estimate> estimates) {
  SensitivityTable table{.quantity = std::move(quantity)};
  for (size_t site = 0; site < estimates.size(); ++site)
    table.entries.push_back(entry_of(probe.sites()[site], estimates[site]));
  return table;
}

}  // namespace qtk::trace
