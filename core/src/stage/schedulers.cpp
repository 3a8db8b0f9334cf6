#include "stage/schedulers.hpp"

#include "base/nearest_name.hpp"
#include "config/options.hpp"
#include "plugin/run_context.hpp"

#include <qtk/runtime/error.hpp>

#include <algorithm>

namespace qtk::stage {
namespace {

constexpr const char* kSchedulerKind = "scheduler";

template <class Section>
OptionValues option_values(const Section& section, config::Diagnostics& diagnostics) {
  return config::resolve_options(plugin::registry().option_table(kSchedulerKind, section.use),
                                 &section.options, section.path + ".options",
                                 "scheduler `" + section.use + "`", diagnostics);
}

/// The scheduler, or null where a problem was reported. @param context  outlives it
template <class Section>
plugin::PluginPtr<Scheduler> checked(const Section& section, RunContext& context,
                                     config::Diagnostics& diagnostics) {
  try {
    const auto values = option_values(section, diagnostics);
    if (diagnostics.ok())  // rules over several fields run in the plugin's constructor
      return plugin::registry().make<Scheduler>(section.use, values, context);
  } catch (const PluginError& error) {
    diagnostics.error(config::located(error, section.mark, section.path + ".use"));
  } catch (const ConfigError& error) {
    diagnostics.error(config::located(error, section.options.mark(), section.path + ".options"));
  }
  return {};
}

template <class Section>
plugin::PluginPtr<Scheduler> made(const Section& section, RunContext& context) {
  config::Diagnostics diagnostics;
  const auto values = option_values(section, diagnostics);
  diagnostics.throw_if_any();
  return plugin::registry().make<Scheduler>(section.use, values, context);
}

}  // namespace

void check_scheduler(const config::SchedulerSection& section, config::Diagnostics& diagnostics) {
  plugin::CoreRunContext context{plugin::RunContextInit{}};
  checked(section, context, diagnostics);
}

void check_lr_schedule(const config::PluginNode<"scheduler">& section,
                       config::Diagnostics& diagnostics) {
  plugin::CoreRunContext context{plugin::RunContextInit{}};
  const auto scheduler = checked(section, context, diagnostics);
  if (!scheduler) return;
  std::vector<std::string> names;
  for (const auto& knob : scheduler->knobs()) names.push_back(knob.name);
  if (std::ranges::find(names, "lr") == names.end())
    diagnostics.error({"scheduler `" + section.use + "` drives no learning rate", section.mark,
                       section.path + ".use", "its knobs are " + join(names)});
}

plugin::PluginPtr<Scheduler> make_scheduler(const config::SchedulerSection& section,
                                            RunContext& context) {
  return made(section, context);
}

plugin::PluginPtr<Scheduler> make_scheduler(const config::PluginNode<"scheduler">& section,
                                            RunContext& context) {
  return made(section, context);
}

}  // namespace qtk::stage
