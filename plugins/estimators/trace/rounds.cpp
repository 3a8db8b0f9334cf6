#include "trace/rounds.hpp"

#include "trace/probing.hpp"

#include <qtk/runtime/check.hpp>

#include <ATen/ATen.h>

#include <algorithm>

namespace qtk::trace {
namespace {

/// Sum and sum of squares of the samples of every site.
std::vector<double> sums_of(const at::Tensor& samples) {
  const auto sums = at::stack({samples.sum(0), samples.square().sum(0)}, 1).contiguous();
  return {sums.const_data_ptr<double>(), sums.const_data_ptr<double>() + sums.numel()};
}

void add_sums(const std::vector<double>& sums, double count, size_t batch,
              std::vector<std::vector<Moments>>& moments) {
  QTK_CHECK(sums.size() == 2 * moments.size(), "two numbers per site, not ", sums.size(), " for ",
            moments.size());
  for (size_t site = 0; site < moments.size(); ++site)
    moments[site][batch].add({count, sums[2 * site], sums[2 * site + 1]});
}

}  // namespace

std::vector<Estimate> estimate_in_rounds(ModelProbe& probe, const Rounds& rounds,
                                         const std::vector<std::vector<double>>& fixed,
                                         const SampleSource& samples) {
  const auto batches = std::ssize(probe.batch_sizes());
  std::vector<std::vector<Moments>> moments(probe.sites().size(),
                                            std::vector<Moments>(static_cast<size_t>(batches)));
  std::vector<Estimate> estimates(moments.size());
  bool is_reached = false;
  int64_t unit = 0;
  for (int64_t first = 0; first < rounds.num_query && !is_reached; first += rounds.per_unit) {
    const int64_t count = std::min(rounds.per_unit, rounds.num_query - first);
    for (int64_t batch = 0; batch < batches; ++batch) {
      const std::string key = "batch " + std::to_string(batch) + " " + rounds.what + " " +
                              std::to_string(first) + " to " + std::to_string(first + count - 1);
      add_sums(probe.once({.key = key, .index = unit++, .total = rounds.total_units},
                          [&] { return sums_of(samples(batch, first, count)); }),
               static_cast<double>(count), static_cast<size_t>(batch), moments);
    }
    for (size_t site = 0; site < moments.size(); ++site)
      estimates[site] = mean_of_batches(moments[site], fixed[site]);
    is_reached = rounds.target_error > 0 && median_relative_error(estimates) <= rounds.target_error;
  }
  for (auto& estimate : estimates)
    estimate.is_target_missed = rounds.target_error > 0 && !estimate.reaches(rounds.target_error);
  return estimates;
}

}  // namespace qtk::trace
