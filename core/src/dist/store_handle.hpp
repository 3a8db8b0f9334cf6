// c10d's side of RunStore, for the files that construct process groups.
#pragma once

#include "dist/run_store.hpp"

#include <torch/csrc/distributed/c10d/Store.hpp>

namespace qtk::dist {

struct RunStore::Handle {
  LaunchEnvironment environment;
  c10::intrusive_ptr<c10d::Store> store;  // with the run's prefix
};

}  // namespace qtk::dist
