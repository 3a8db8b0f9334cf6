#include "dist/simulation/simulation_plan.hpp"

#include "config/options.hpp"
#include "config/run_config.hpp"
#include "dist/compressor_choice.hpp"
#include "dist/layer_split.hpp"
#include "dist/link.hpp"
#include "dist/simulation/link_file.hpp"
#include "dist/simulation/model_costs.hpp"
#include "dist/simulation/timing_file.hpp"
#include "dist/wire_format.hpp"
#include "format/gguf.hpp"
#include "model/gguf_layout.hpp"
#include "plugin/run_context.hpp"

#include <qtk/runtime/error.hpp>

#include <c10/util/accumulate.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <tuple>

namespace qtk::dist {
namespace {

using CompressorNode = std::optional<config::PluginNode<"comm">>;

constexpr double kBytesPerGradient = 4;  // fp32
constexpr int64_t kExchangedRows = 512;  // the tensor [1, 512, n] in which gradients are compressed

/// Heaps' law. Of 512 to 131072 tokens of two English texts (a novel, WikiText; SmolLM2's
/// tokenizer) 268 to 11024 were distinct; this is more by 0 to 110 %.
int64_t distinct_tokens(int64_t tokens) {
  return std::min(tokens, static_cast<int64_t>(4 * std::pow(static_cast<double>(tokens), 0.7)));
}

config::RunConfig read_config(const SimulationRequest& request) {
  config::Diagnostics diagnostics;
  const auto document = config::load_document(request.config, request.overrides, diagnostics);
  auto config = config::read_run_config(document, diagnostics);
  diagnostics.throw_if_any();
  if (!config.train || !config.data.train)
    throw ConfigError(request.config.string() + " trains nothing, so there is no step to simulate",
                      "add the sections train and data.train");
  if (request.ranks) {
    std::tie(config.parallel.data, config.parallel.pipeline) = *request.ranks;
    if (config.parallel.pipeline != std::ssize(config.parallel.layers))
      config.parallel.layers.clear();
  }
  std::vector<std::filesystem::path> paths(config.plugins.path.begin(), config.plugins.path.end());
  plugin::registry().configure(plugin::default_load_options(std::move(paths)));
  return config;
}

/// Of a Hugging Face folder, or of a GGUF file's metadata.
model::DecoderConfig decoder_config(const std::filesystem::path& path) {
  if (path.extension() != ".gguf") return model::read_decoder_config(path);
  const auto file = format::GgufFile::open(path);
  const auto shape_of = [&](std::string_view name) {
    return file.has(name) ? file.info(name).shape : std::vector<int64_t>{};
  };
  return model::read_decoder_config(
      model::config_from_gguf(file.metadata(), shape_of, /*rope_frequencies=*/{}), path);
}

/// Everything about one request that more than one part of the plan needs.
class Planner {
 public:
  explicit Planner(const SimulationRequest& request)
      : request_(request),
        config_(read_config(request)),
        decoder_(decoder_config(config_.model.path)),
        costs_(model_costs(decoder_, config_.data.train->ctx)),
        context_(plugin::RunContextInit{}) {
    if (request.profile) timing_ = read_timing_file(*request.profile);
  }

  SimulationPlan plan() {
    const auto& train = *config_.train;
    PipelineModel& model = plan_.model;
    model.schedule = schedule_from(config_.parallel.schedule);
    model.receives = request_.receives;
    model.replicas = config_.parallel.data;
    model.micro_batches = micro_batches();
    model.steps = request_.steps;
    model.compute_jitter = request_.jitter;
    model.seed = request_.seed;
    model.keeps_timeline = request_.keeps_timeline;
    set_hosts();
    plan_.schedule = config_.parallel.schedule;
    plan_.micro_batch = train.micro_batch;
    plan_.ctx = config_.data.train->ctx;
    plan_.tokens_per_step = static_cast<double>(train.global_batch * plan_.ctx);
    set_messages();
    set_stages();
    set_links();
    compare_with_profile();
    return std::move(plan_);
  }

 private:
  int64_t micro_batches() const;
  void set_hosts();
  void set_messages();
  double message_bytes(const CompressorNode& node, const TensorSpec& spec, std::string& use);
  const std::vector<StageCosts>& measured_costs() const {
    return plan_.model.shares_cores() ? timing_->core_stages : timing_->stages;
  }
  void set_stages();
  std::string costs_text() const;
  void add_computed_costs(const LayerCosts& layers, StageCosts& stage) const;
  double gradient_bytes(double parameters);
  void set_links();
  void compare_with_profile();
  plugin::PluginPtr<Compressor> compressor(const config::PluginNode<"comm">& node);
  at::ScalarType boundary_dtype();

  const SimulationRequest& request_;
  const config::RunConfig config_;
  const model::DecoderConfig decoder_;
  const ModelCosts costs_;
  plugin::CoreRunContext context_;
  std::optional<TimingFile> timing_;
  SimulationPlan plan_;
};

void Planner::set_hosts() {
  const auto& cores = request_.cores;
  const auto& ranks = request_.ranks_per_host;
  if (ranks && !cores)
    throw ConfigError("ranks per host are given, but not how many cores they share",
                      "add --cores, the cores of a host");
  if ((cores && *cores < 1) || (ranks && *ranks < 1))
    throw ConfigError("a host has at least one core and one rank",
                      "check --cores and --ranks-per-host");
  if (cores && timing_ && timing_->core_stages.empty())
    throw ConfigError(
        request_.profile->string() +
            " holds no processor times, which --cores needs: they are measured on CPUs, "
            "and by this version of qtk",
        "measure it anew, or leave out --cores");
  plan_.model.cores = cores.value_or(0);
  plan_.model.ranks_per_host = ranks.value_or(0);
}

int64_t Planner::micro_batches() const {
  const auto& train = *config_.train;
  const int64_t windows = config_.parallel.data * train.micro_batch;
  if (train.global_batch % windows == 0) return train.global_batch / windows;
  throw ConfigError("train.global_batch is " + std::to_string(train.global_batch) +
                        " windows, which " + std::to_string(config_.parallel.data) +
                        " replicas with micro-batches of " + std::to_string(train.micro_batch) +
                        " cannot share evenly",
                    "for example --set train.global_batch=" + std::to_string(windows * 8));
}

at::ScalarType Planner::boundary_dtype() {
  const std::string& precision = config_.train->precision;
  if (precision == "auto" && !config_.device.starts_with("cpu"))
    plan_.notes.emplace_back(
        "train.precision is auto: messages counted as computed in fp32; a GPU would take bf16");
  return precision == "bf16" ? at::kBFloat16 : at::kFloat;
}

plugin::PluginPtr<Compressor> Planner::compressor(const config::PluginNode<"comm">& node) {
  config::Diagnostics diagnostics;
  const OptionTable& table = plugin::registry().option_table("comm", node.use);
  const auto options = config::resolve_options(table, &node.options, node.path + ".options",
                                               "compressor `" + node.use + "`", diagnostics);
  diagnostics.throw_if_any();
  return make_compressor({node.use, node.use, options}, context_);
}

double Planner::message_bytes(const CompressorNode& node, const TensorSpec& spec,
                              std::string& use) {
  use = node ? node->use : "uncompressed";
  const double content =
      node ? static_cast<double>(compressor(*node)->wire_bytes(spec)) : plan_.uncompressed_bytes;
  return content + (config_.comm.checksum ? static_cast<double>(kHashBytes) : 0);
}

void Planner::set_messages() {
  const TensorSpec spec{{plan_.micro_batch, plan_.ctx, decoder_.hidden_size}, boundary_dtype()};
  plan_.uncompressed_bytes = static_cast<double>(raw_bytes(spec));
  plan_.model.forward_bytes = message_bytes(config_.comm.forward, spec, plan_.forward_use);
  plan_.model.backward_bytes = message_bytes(config_.comm.backward, spec, plan_.backward_use);
}

/// What replicas exchange, as a tensor of which a ring sends 2 (D - 1) / D.
double Planner::gradient_bytes(double parameters) {
  if (!config_.comm.data || config_.parallel.data == 1) return kBytesPerGradient * parameters;
  const auto replicas = static_cast<double>(config_.parallel.data);
  const auto columns = static_cast<int64_t>(
      std::ceil(parameters / (replicas * static_cast<double>(kExchangedRows) * 256)) * 256);
  const TensorSpec chunk{{1, kExchangedRows, columns}, at::kFloat};
  return replicas * static_cast<double>(compressor(*config_.comm.data)->wire_bytes(chunk));
}

void Planner::add_computed_costs(const LayerCosts& layers, StageCosts& stage) const {
  const double tokens = static_cast<double>(plan_.micro_batch * plan_.ctx);
  stage.forward_s = layers.forward_flops * tokens / (*request_.gflops * 1e9);
  stage.backward_s = stage.forward_s * (config_.train->activation_checkpointing ? 3 : 2);
}

void Planner::set_stages() {
  const auto& parallel = config_.parallel;
  const int64_t stages = parallel.pipeline;
  const auto ranges = parallel.layers.empty()
                          ? split_layers(decoder_, stages, balance_from(parallel.split), plan_.ctx)
                          : split_layers(decoder_, parallel.layers);
  if (!timing_ && !(request_.gflops && *request_.gflops > 0))
    throw ConfigError("nothing says how fast a rank computes",
                      "give --profile timing.json of a measured run, or --gflops");
  auto& costs = plan_.model.stages;
  costs = timing_ ? stages_of(measured_costs(), stages)
                  : std::vector<StageCosts>(static_cast<size_t>(stages));
  for (int64_t p = 0; p < stages; ++p) {
    const LayerCosts layers = stage_costs(costs_, ranges, p);
    if (!timing_) add_computed_costs(layers, costs[p]);
    // The last stage trains a tied weight, the first one only holds a copy of it.
    const bool has_copy = p == 0 && stages > 1;
    costs[p].gradient_bytes = gradient_bytes(
        static_cast<double>(layers.parameters - (has_copy ? costs_.tied_parameters : 0)));
  }
  if (costs_.tied_parameters > 0 && stages > 1) {
    // Rows of the step's tokens come before the step, and their gradients go back after it.
    const int64_t rows =
        std::min(decoder_.vocab_size,
                 distinct_tokens(plan_.model.micro_batches * plan_.micro_batch * plan_.ctx));
    plan_.model.tied_bytes =
        2 * kBytesPerGradient * static_cast<double>(rows * decoder_.hidden_size);
    plan_.notes.emplace_back("the tied embedding is counted with " + std::to_string(rows) +
                             " rows a step, as English text has that many distinct tokens");
  }
  plan_.costs_from = costs_text();
}

std::string Planner::costs_text() const {
  if (!timing_) {
    std::array<char, 128> text{};
    std::snprintf(
        text.data(), text.size(),
        "operations of config.json at %g GFLOP/s a rank; encoding, decoding and optimizer "
        "cost nothing",
        *request_.gflops);
    return text.data();
  }
  const size_t measured = timing_->stages.size(), wanted = plan_.model.stages.size();
  std::string text = plan_.model.shares_cores() ? "measured in processor time, " : "measured, ";
  text += request_.profile->string();
  if (measured != wanted)
    text += "; its " + std::to_string(measured) + " stages spread evenly over " +
            std::to_string(wanted);
  return text;
}

void Planner::set_links() {
  PipelineModel& model = plan_.model;
  if (request_.link) model.link = slowest_link(read_link_file(*request_.link));
  model.link.burst_bytes = config_.comm.burst_bytes;
  model.data_link = model.link;
  const double limit = config_.comm.rate_mbit * 1e6;
  if (limit > 0)
    model.link.rate_bits_s =
        model.link.rate_bits_s > 0 ? std::min(model.link.rate_bits_s, limit) : limit;
  model.link.latency_s += config_.comm.latency_ms * 1e-3;
  for (LinkModel* link : {&model.link, &model.data_link}) {
    if (request_.rate_mbit) link->rate_bits_s = *request_.rate_mbit * 1e6;
    if (request_.latency_ms) link->latency_s = *request_.latency_ms * 1e-3;
  }
  model.link.shares_egress = request_.shares_egress;
  model.link.share_spread = request_.share_spread;
  if (timing_ && model.shares_cores()) {
    model.link.hand_over_s_per_byte = timing_->hand_over_s_per_byte;
    model.link.send_cpu_s_per_byte = model.link.receive_cpu_s_per_byte =
        timing_->message_core_s_per_byte;
  }
  if (model.replicas > 1 && model.data_link.rate_bits_s == 0)
    plan_.notes.emplace_back(
        "replicas exchange gradients in no time: comm.rate_mbit slows pipeline links only; give "
        "--link or --rate-mbit");
}

void Planner::compare_with_profile() {
  if (!timing_) return;
  const PipelineModel& model = plan_.model;
  const bool is_same_size = timing_->forward_bytes == model.forward_bytes &&
                            timing_->backward_bytes == model.backward_bytes;
  if (!is_same_size)
    plan_.notes.emplace_back(
        "the profile was measured with other messages; its times to encode and decode are kept");
  const bool is_same_run =
      is_same_size && timing_->micro_batches == model.micro_batches &&
      timing_->replicas == model.replicas && std::ssize(timing_->stages) == model.num_stages() &&
      timing_->schedule == plan_.schedule && !request_.rate_mbit && !request_.latency_ms;
  if (is_same_run) plan_.measured_step_s = timing_->step_s;
}

}  // namespace

SimulationPlan plan_simulation(const SimulationRequest& request) { return Planner(request).plan(); }

PipelineModel uncompressed(const SimulationPlan& plan, PipelineModel model) {
  model.forward_bytes = model.backward_bytes = plan.uncompressed_bytes;
  for (StageCosts& stage : model.stages)
    stage.encode_forward_s = stage.decode_forward_s = stage.encode_backward_s =
        stage.decode_backward_s = 0;
  model.keeps_timeline = false;
  return model;
}

}  // namespace qtk::dist
