#include "stage/pipeline.hpp"

#include "base/atomic_file.hpp"
#include "base/device.hpp"
#include "base/interrupt.hpp"
#include "base/logging.hpp"
#include "base/nearest_name.hpp"
#include "base/progress.hpp"
#include "config/emit.hpp"
#include "config/options.hpp"
#include "plugin/registry.hpp"
#include "plugin/run_context.hpp"
#include "stage/calibrate_stage.hpp"
#include "stage/compressors.hpp"
#include "stage/environment.hpp"
#include "stage/quantizer_plan.hpp"
#include "stage/schedulers.hpp"

#include <qtk/runtime/error.hpp>
#include <qtk/version.hpp>

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <nlohmann/json.hpp>

#include <chrono>

namespace qtk::stage {
namespace {

namespace fs = std::filesystem;

/// The stage that all processes of a run work on together.
constexpr const char* kSharedStage = "train";

struct Stage {
  std::string name;
  void (*run)(Run&);
};

const std::vector<Stage>& all_stages() {
  static const std::vector<Stage> stages = {
      {"import", import_stage},     {"calibrate", calibrate_stage}, {"train", train_stage},
      {"quantize", quantize_stage}, {"eval", eval_stage},           {"export", export_stage},
      {"report", report_stage}};
  return stages;
}

bool is_below(const std::string& path, std::string_view key) {
  return path == key || path.starts_with(std::string(key) + ".") ||
         path.starts_with(std::string(key) + "[");
}

/// Keys that change where results go, which of them are made, or by how many processes and how
/// fast; not what they are. So a run can be continued by another number of processes.
bool is_free(const std::string& path) {
  for (const std::string_view key :
       {"name", "out", "stages", "report", "plugins", "parallel", "dist", "comm.rate_mbit",
        "comm.burst_bytes", "comm.latency_ms", "comm.checksum"})
    if (is_below(path, key)) return true;
  return false;
}

/// Keys that may differ between the processes of a run.
bool is_local(const std::string& path) {
  for (const std::string_view key : {"out", "plugins", "device", "threads", "dist.interface"})
    if (is_below(path, key)) return true;
  return false;
}

struct Checked {
  config::RunConfig config;
  std::vector<config::Problem> warnings;
};

/// Reads and checks everything that needs no model. @throws ConfigError with all problems
Checked check_config(const fs::path& path, const std::vector<std::string>& overrides) {
  config::Diagnostics diagnostics;
  const auto document = config::load_document(path, overrides, diagnostics);
  Checked checked{config::read_run_config(document, diagnostics), {}};
  std::vector<fs::path> plugin_paths(checked.config.plugins.path.begin(),
                                     checked.config.plugins.path.end());
  plugin::registry().configure(plugin::default_load_options(std::move(plugin_paths)));
  for (const auto& variant : config::quantizer_variants(checked.config))
    check_quantizer(variant.quantizer, diagnostics);
  if (checked.config.estimator) check_estimator(*checked.config.estimator, diagnostics);
  if (checked.config.scheduler) check_scheduler(*checked.config.scheduler, diagnostics);
  check_compressors(checked.config.comm, diagnostics);
  if (checked.config.train && checked.config.train->lr_schedule)
    check_lr_schedule(*checked.config.train->lr_schedule, diagnostics);
  config::check_files(checked.config, document, diagnostics);
  diagnostics.throw_if_any();
  checked.warnings = diagnostics.warnings();
  return checked;
}

/// Fills in the defaults of the plugin that a section names.
template <class Section>
void resolve_plugin(Section& section, const std::string& kind) {
  config::Diagnostics ignored;
  const OptionTable& table = plugin::registry().option_table(kind, section.use);
  section.options = config::options_node(
      table, config::resolve_options(table, &section.options, section.path, section.use, ignored));
}

/// The configuration with the plugins' defaults filled in.
config::Node resolved(config::RunConfig config) {
  if (config.quantizer) resolve_plugin(*config.quantizer, "quantizer");
  if (config.estimator && config.estimator->file.empty())
    resolve_plugin(*config.estimator, "estimator");
  if (config.scheduler) resolve_plugin(*config.scheduler, "scheduler");
  if (config.train && config.train->lr_schedule)
    resolve_plugin(*config.train->lr_schedule, "scheduler");
  for (auto* node : {&config.comm.forward, &config.comm.backward, &config.comm.data})
    if (*node) resolve_plugin(**node, "comm");
  return config::resolved_node(config);
}

void add_content(const std::string& key, const std::string& file, RunIdentity& identity) {
  if (!file.empty()) identity.inputs["content of " + key] = content_fingerprint(file);
}

/// By position in the list: a file may be named in several ways.
void add_contents(const std::string& key, const std::vector<std::string>& files,
                  RunIdentity& identity) {
  for (size_t i = 0; i < files.size(); ++i)
    add_content(key + "[" + std::to_string(i) + "]", files[i], identity);
}

void add_plugin(const std::string& kind, const std::string& id, RunIdentity& identity) {
  identity.inputs["plugin " + kind + " " + id] =
      content_fingerprint(plugin::registry().find(kind, id).name().file);
}

void add_calibration(const config::RunConfig& config, RunIdentity& identity) {
  if (!config.estimator) return;
  if (config.data.calib) add_contents("data.calib.files", config.data.calib->files, identity);
  add_content("estimator.file", config.estimator->file, identity);
  if (config.estimator->file.empty()) add_plugin("estimator", config.estimator->use, identity);
}

void add_training(const config::RunConfig& config, RunIdentity& identity) {
  if (config.data.train) {
    add_contents("data.train.files", config.data.train->files, identity);
    add_contents("data.train.shards", config.data.train->shards, identity);
  }
  if (config.scheduler) {
    add_content("scheduler.sensitivity", config.scheduler->sensitivity, identity);
    add_plugin("scheduler", config.scheduler->use, identity);
  }
  if (config.train && config.train->lr_schedule)
    add_plugin("scheduler", config.train->lr_schedule->use, identity);
}

void add_compressors(const config::CommSection& comm, RunIdentity& identity) {
  for (const auto* node : {&comm.forward, &comm.backward, &comm.data})
    if (*node) add_plugin("comm", (*node)->use, identity);
}

RunIdentity identity_of(const config::RunConfig& config, const config::Node& resolved_config) {
  RunIdentity identity{config.name, {}};
  std::map<std::string, std::string> values;
  flatten(resolved_config, "", values);
  for (auto& [path, value] : values)
    if (!is_free(path)) identity.inputs[path] = value;
  identity.inputs["content of model.path"] = content_fingerprint(config.model.path);
  if (config.data.eval) add_contents("data.eval.files", config.data.eval->files, identity);
  add_calibration(config, identity);
  add_training(config, identity);
  for (const auto& variant : config::quantizer_variants(config))
    add_plugin("quantizer", variant.quantizer.use, identity);
  add_compressors(config.comm, identity);
  identity.inputs["qtk"] = QTK_VERSION;
  return identity;
}

void apply_process_settings(const config::RunConfig& config) {
  if (config.threads > 0) at::set_num_threads(static_cast<int>(config.threads));
  at::globalContext().setDeterministicAlgorithms(config.determinism != "off",
                                                 config.determinism == "warn");
  // Else LibTorch fills every new tensor with NaN first: one more pass over all that is written.
  at::globalContext().setDeterministicFillUninitializedMemory(false);
}

void write_inputs(const Run& run, const RunRequest& request, const config::Node& resolved_config) {
  write_file_atomically(run.folder / "config.yaml", read_text_file(request.config));
  write_file_atomically(run.folder / "resolved.yaml", config::to_yaml(resolved_config));
  write_file_atomically(run.folder / "command.txt", request.command + "\n");
  run.folder.write_json("env.json", environment_json(run.context->device()));
}

void check_until(const std::string& until, const config::RunConfig& config) {
  if (until.empty() || config.has_stage(until)) return;
  std::vector<std::string> listed;
  for (const auto& stage : all_stages())
    if (config.has_stage(stage.name)) listed.push_back(stage.name);
  const std::string nearest = nearest_name(until, listed);
  throw ConfigError("--until " + until + " names no stage of this run" +
                        (nearest.empty() ? "" : "; did you mean '" + nearest + "'?"),
                    "stages: " + join(listed));
}

dist::Timeouts timeouts_of(const config::TimeoutSection& section) {
  return {.heartbeat = dist::Seconds(section.heartbeat_s),
          .missed = static_cast<int>(section.missed),
          .operation = dist::Seconds(section.operation_s),
          .step_factor = section.step_factor,
          .step_floor = dist::Seconds(section.step_floor_s),
          .rendezvous = dist::Seconds(section.rendezvous_s),
          .grace = dist::Seconds(section.grace_s)};
}

/// What must be the same on all processes.
dist::Facts facts_of(const RunIdentity& identity, const config::Node& resolved_config) {
  dist::Facts facts;
  std::map<std::string, std::string> values;
  flatten(resolved_config, "", values);
  for (const auto& [path, value] : values)
    if (!is_local(path)) facts[dist::kConfigFact + path] = value;
  for (const auto& [key, value] : identity.inputs)
    if (!values.contains(key)) facts[key] = value;
  facts["qtk.build"] = build_fingerprint();
  facts["torch"] = QTK_TORCH_VERSION;
  return facts;
}

/// Meets the other processes, if the configuration wants any. Null: alone.
std::unique_ptr<dist::World> join_world(const config::RunConfig& config,
                                        const RunIdentity& identity,
                                        const config::Node& resolved_config) {
  const auto environment = dist::detect_environment();
  if (environment.world == 1 && config.parallel.world() == 1) return nullptr;
  auto world = dist::World::join({.environment = environment,
                                  .replicas = static_cast<int>(config.parallel.data),
                                  .stages = static_cast<int>(config.parallel.pipeline),
                                  .timeouts = timeouts_of(config.dist.timeouts),
                                  .interface = config.dist.interface,
                                  .on_lost = {}});
  try {
    dist::compare_facts(world->store(), world->mesh(), "start", facts_of(identity, resolved_config),
                        world->timeouts().rendezvous);
  } catch (...) {
    world->abandon();  // everybody found the same differences
    throw;
  }
  return world;
}

/// One GPU for each process of a machine.
std::string device_name(const config::RunConfig& config, const dist::World* world) {
  if (!world || (config.device != "auto" && config.device != "cuda")) return config.device;
  if (config.device == "auto" && !cuda_is_available()) return "cpu";
  return "cuda:" + std::to_string(world->environment().local_rank);
}

RunFolder open_folder(const RunRequest& request, const config::RunConfig& config,
                      const RunIdentity& identity, dist::World* world) {
  const auto open = [&] {
    return request.folder ? RunFolder::at(*request.folder, identity, request.resume)
                          : RunFolder::under(config.out, identity, request.resume);
  };
  if (!world) return open();
  std::optional<RunFolder> own;
  const std::string path = world->from_chief("run folder", [&] {
    own.emplace(open());
    return own->path().string();
  });
  return own ? std::move(*own) : RunFolder::joined(path);
}

Run open_run(const RunRequest& request) {
  Checked checked = check_config(request.config, request.overrides);
  check_until(request.until, checked.config);
  for (const auto& warning : checked.warnings) core_log().warn(config::to_string(warning));
  const config::Node resolved_config = resolved(checked.config);
  const RunIdentity identity = identity_of(checked.config, resolved_config);
  apply_process_settings(checked.config);
  auto world = join_world(checked.config, identity, resolved_config);
  try {
    const c10::Device device = open_device(device_name(checked.config, world.get()));
    RunFolder folder = open_folder(request, checked.config, identity, world.get());
    const bool is_chief = !world || world->is_chief();
    log_to_file(folder / (is_chief ? std::string("log.txt")
                                   : "log.rank" + std::to_string(world->mesh().rank) + ".txt"));
    if (world) world->open_groups(device);
    const auto seed = static_cast<uint64_t>(checked.config.seed);
    Run run{std::move(checked.config), std::move(folder),
            std::make_unique<plugin::CoreRunContext>(
                plugin::RunContextInit{.device = device, .seed = seed}),
            std::move(world)};
    if (is_chief) write_inputs(run, request, resolved_config);
    return run;
  } catch (const std::exception& error) {
    if (world) world->fail(error.what());
    throw;
  }
}

void run_stage(Run& run, const Stage& stage) {
  const auto start = std::chrono::steady_clock::now();
  const bool is_chief = !run.world || run.world->is_chief();
  if (is_chief) run.folder.write_status("running", stage.name, 0);
  if (is_chief) core_log().info("stage " + stage.name);
  stage.run(run);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (is_chief) core_log().info("stage " + stage.name + " finished in " + duration_text(seconds));
}

/// The status file tells how a stage ended, whatever happens.
void run_recorded(Run& run, const Stage& stage) {
  const bool is_chief = !run.world || run.world->is_chief();
  const auto record = [&](const char* state, ExitCode code) {
    if (is_chief) run.folder.write_status(state, stage.name, static_cast<int>(code));
  };
  try {
    run_stage(run, stage);
  } catch (const Error& error) {
    const bool is_stop =
        error.code() == ExitCode::kInterrupted || error.code() == ExitCode::kPreempted;
    record(is_stop ? "stopped" : "failed", error.code());
    throw;
  } catch (...) {
    record("failed", ExitCode::kFailed);
    throw;
  }
}

/// All processes train; rank 0 does the rest.
void run_shared(Run& run, const Stage& stage) {
  if (stage.name == kSharedStage) return run_recorded(run, stage);
  run.world->from_chief("stage " + stage.name, [&] {
    run_recorded(run, stage);
    return std::string("done");
  });
}

/// How processes part when one or all of them must end. A stop and a divergence were agreed on.
void part(dist::World& world, const std::string& stage, const std::exception& error) {
  const auto* known = dynamic_cast<const Error*>(&error);
  const bool is_agreed =
      stage == kSharedStage && known &&
      (known->code() == ExitCode::kInterrupted || known->code() == ExitCode::kPreempted ||
       known->code() == ExitCode::kDiverged);
  if (is_agreed)
    world.abandon();
  else
    world.fail(error.what());
}

void run_stages(Run& run, const std::string& until) {
  for (const auto& stage : all_stages()) {
    if (!run.config.has_stage(stage.name)) continue;
    if (run.world) try {
        run_shared(run, stage);
        if (stage.name == kSharedStage) run.world->close();
      } catch (const std::exception& error) {
        part(*run.world, stage.name, error);
        throw;
      }
    else
      run_recorded(run, stage);
    if (run.world && stage.name == kSharedStage) {
      if (!run.world->is_chief()) return;
      run.world.reset();  // what is left is one process's work
    }
    if (stage.name == until) break;
  }
  if (run.world) {
    run.world->close();
    if (!run.world->is_chief()) return;
  }
  run.folder.write_status("finished", "", 0);
}

}  // namespace

fs::path Run::model_folder() const {
  return fs::is_directory(config.model.path) ? fs::path(config.model.path) : folder / "model";
}

fs::path Run::packed_folder(const std::string& variant) const {
  return folder / "artifacts" / variant / "packed";
}

fs::path Run::train_folder(const std::string& variant) const { return folder / "train" / variant; }

fs::path Run::sensitivity_file() const { return folder / "stages/calibrate/sensitivity.json"; }

std::vector<config::Problem> validate_config(const fs::path& config,
                                             const std::vector<std::string>& overrides) {
  return check_config(config, overrides).warnings;
}

std::vector<std::string> run(const RunRequest& request) {
  watch_interrupts();
  Run run = open_run(request);
  const bool is_chief = !run.world || run.world->is_chief();
  if (is_chief)
    core_log().info((run.folder.is_resumed() ? "resuming " : "writing to ") +
                    run.folder.path().string());
  run_stages(run, request.until);
  return is_chief ? summary_lines(run) : std::vector<std::string>{};
}

}  // namespace qtk::stage
