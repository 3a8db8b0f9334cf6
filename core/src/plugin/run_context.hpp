// Core's side of RunContext.
#pragma once

#include <qtk/runtime/run_context.hpp>

#include <c10/core/Device.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace qtk::plugin {

/// Collectives of a run with one rank: every operation returns its input.
class SingleRank final : public Collectives {
 public:
  void all_reduce_sum(at::Tensor& tensor) override;
  std::vector<at::Tensor> all_gather(const at::Tensor& tensor) override;
};

struct RunContextInit {
  c10::Device device = c10::kCPU;
  uint64_t seed = 0;
  std::string component = "plugin";  // names the lines of the log: the plugin's id
  std::function<void(std::string_view name, double value, int64_t step)> metric;  // empty: dropped
  int rank = 0;
  int world = 1;
  std::shared_ptr<Collectives> collectives;  // empty: SingleRank, for one rank only
};

class CoreRunContext final : public RunContext {
 public:
  /// @throws Error if there are several ranks and no collectives
  explicit CoreRunContext(RunContextInit init);

  c10::Device device() const override { return init_.device; }
  RandomStream random(std::string_view purpose, int64_t step, std::string_view site) const override;
  Logger& log() override { return *log_; }
  void metric(std::string_view name, double value, int64_t step) override;
  int rank() const override { return init_.rank; }
  int world() const override { return init_.world; }
  Collectives& collectives() override { return *init_.collectives; }

 private:
  RunContextInit init_;
  std::unique_ptr<Logger> log_;
};

}  // namespace qtk::plugin
