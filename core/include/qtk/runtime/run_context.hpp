// The only door from a plugin to the outside: device, random streams, log, metrics, ranks.
#pragma once

#include <qtk/runtime/export.hpp>
#include <qtk/runtime/log.hpp>
#include <qtk/runtime/random.hpp>

#include <ATen/core/Tensor.h>

#include <string_view>
#include <vector>

namespace qtk {

/// The few collective operations a method may need. All ranks call them in the same order.
/// With one rank they return their input.
class QTK_API Collectives {
 public:
  virtual ~Collectives();
  /// Sum over ranks, in place.
  virtual void all_reduce_sum(at::Tensor& tensor) = 0;
  /// One tensor per rank, in rank order; all ranks pass the same shape and dtype.
  virtual std::vector<at::Tensor> all_gather(const at::Tensor& tensor) = 0;
};

/// Owned by core; outlives every object it is given to. Calls are safe from the thread that runs
/// the plugin.
class QTK_API RunContext {
 public:
  virtual ~RunContext();

  virtual at::Device device() const = 0;
  /// A stream of random numbers of its own for (purpose, step, site), derived from the run's seed.
  virtual RandomStream random(std::string_view purpose, int64_t step = 0,
                              std::string_view site = {}) const = 0;
  virtual Logger& log() = 0;
  /// Records one figure of the method itself, for example ("code_flip_rate", 0.013, step). Equal
  /// names of one step are averaged, so every site may report its own.
  virtual void metric(std::string_view name, double value, int64_t step) = 0;
  virtual int rank() const = 0;
  virtual int world() const = 0;
  virtual Collectives& collectives() = 0;
};

}  // namespace qtk
