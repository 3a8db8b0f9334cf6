// The context of a run that nothing was configured for.
#pragma once

#include "plugin/run_context.hpp"

namespace qtk::train {

inline const plugin::CoreRunContext& default_context() {
  static const plugin::CoreRunContext context{plugin::RunContextInit{}};
  return context;
}

}  // namespace qtk::train
