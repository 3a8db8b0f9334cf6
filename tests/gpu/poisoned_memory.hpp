// New memory is filled with NaN (or 0xff), so that a value that a kernel does not write is seen.
#pragma once

#include <ATen/Context.h>

namespace qtk::testing {

class PoisonedMemory {
 public:
  PoisonedMemory()
      : was_deterministic_(at::globalContext().deterministicAlgorithms()),
        only_warned_(at::globalContext().deterministicAlgorithmsWarnOnly()) {
    at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/true);
    at::globalContext().setDeterministicFillUninitializedMemory(true);
  }
  ~PoisonedMemory() {
    at::globalContext().setDeterministicAlgorithms(was_deterministic_, only_warned_);
  }
  PoisonedMemory(const PoisonedMemory&) = delete;
  PoisonedMemory& operator=(const PoisonedMemory&) = delete;

 private:
  const bool was_deterministic_, only_warned_;
};

}  // namespace qtk::testing
