#include "plugin/run_context.hpp"

#include "base/logging.hpp"

#include <qtk/runtime/check.hpp>

#include <utility>

namespace qtk::plugin {

void SingleRank::all_reduce_sum(at::Tensor&) {}

std::vector<at::Tensor> SingleRank::all_gather(const at::Tensor& tensor) { return {tensor}; }

CoreRunContext::CoreRunContext(RunContextInit init)
    : init_(std::move(init)), log_(make_log(init_.component)) {
  QTK_CHECK(init_.rank >= 0 && init_.rank < init_.world, "rank ", init_.rank, " of ", init_.world);
  QTK_CHECK(init_.world == 1 || init_.collectives, "a run of ", init_.world,
            " ranks has no collectives");
  if (!init_.collectives) init_.collectives = std::make_shared<SingleRank>();
}

RandomStream CoreRunContext::random(std::string_view purpose, int64_t step,
                                    std::string_view site) const {
  return RandomStream({.seed = init_.seed, .purpose = purpose, .step = step, .site = site});
}

void CoreRunContext::metric(std::string_view name, double value, int64_t step) {
  if (init_.metric) init_.metric(name, value, step);
}

}  // namespace qtk::plugin
