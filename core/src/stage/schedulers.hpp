// The schedulers of a run, from their sections.
#pragma once

#include "config/run_config.hpp"
#include "plugin/registry.hpp"

#include <qtk/api/scheduler.hpp>
#include <qtk/runtime/run_context.hpp>

namespace qtk::stage {

/// Check options against the plugin's table, before any model is open.
void check_scheduler(const config::SchedulerSection& section, config::Diagnostics& diagnostics);
/// Also that it drives a knob `lr`.
void check_lr_schedule(const config::PluginNode<"scheduler">& section,
                       config::Diagnostics& diagnostics);

plugin::PluginPtr<Scheduler> make_scheduler(const config::SchedulerSection& section,
                                            RunContext& context);
plugin::PluginPtr<Scheduler> make_scheduler(const config::PluginNode<"scheduler">& section,
                                            RunContext& context);

}  // namespace qtk::stage
