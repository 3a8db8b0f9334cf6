#include "dist/simulation/timing_file.hpp"

#include "base/atomic_file.hpp"
#include "dist/simulation/json_figures.hpp"
#include "format/strict_json.hpp"

#include <qtk/runtime/error.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace qtk::dist {
namespace {

using Cost = double StageCosts::*;
constexpr std::pair<const char*, Cost> kCosts[] = {
    {"forward_s", &StageCosts::forward_s},
    {"backward_s", &StageCosts::backward_s},
    {"encode_forward_s", &StageCosts::encode_forward_s},
    {"decode_forward_s", &StageCosts::decode_forward_s},
    {"encode_backward_s", &StageCosts::encode_backward_s},
    {"decode_backward_s", &StageCosts::decode_backward_s},
    {"optimizer_s", &StageCosts::optimizer_s}};

void read_costs(const JsonFigures& figures, StageCosts& costs) {
  costs.forward_s = figures.amount("forward_s");
  costs.backward_s = figures.amount("backward_s");
  for (const auto& [field, cost] : kCosts) costs.*cost = figures.amount_or(field, 0);
}

double passes_s(const StageCosts& costs) {
  return costs.forward_s + costs.backward_s + costs.encode_forward_s + costs.decode_forward_s +
         costs.encode_backward_s + costs.decode_backward_s;
}

/// Sent and received by all stages in one step.
double moved_bytes(const TimingFile& timing) {
  const auto messages =
      static_cast<double>(timing.micro_batches) * static_cast<double>(timing.stages.size() - 1);
  return 2 * messages * (timing.forward_bytes + timing.backward_bytes);
}

/// From the "cpu" of each stage: its passes, and per step the processor time of the thread that
/// computes ("own_step_s", absent if several do), of all threads ("step_s") and of the kernel's
/// ("kernel_s", its part of what they worked on its machine).
void read_core_costs(const nlohmann::json& stages, const std::string& where, TimingFile& timing) {
  double messages_s = 0, hand_over_s = 0;
  for (size_t p = 0; p < stages.size(); ++p) {
    const auto found = stages[p].find("cpu");
    if (found == stages[p].end() || found->is_null()) return timing.core_stages.clear();
    const JsonFigures figures(*found, where + ": stages[" + std::to_string(p) + "].cpu");
    StageCosts& costs = timing.core_stages.emplace_back();
    read_costs(figures, costs);
    const double sends_s =
        static_cast<double>(timing.micro_batches) *
        (figures.amount_or("send_forward_s", 0) + figures.amount_or("send_backward_s", 0));
    const double in_passes_s =
        static_cast<double>(timing.micro_batches) * passes_s(costs) + sends_s;
    const double own_s = figures.amount_or("own_step_s", in_passes_s + costs.optimizer_s);
    costs.optimizer_s = std::max(costs.optimizer_s, own_s - in_passes_s);
    hand_over_s += sends_s;
    messages_s +=
        std::max(0.0, figures.amount("step_s") - own_s) + figures.amount_or("kernel_s", 0);
  }
  if (const double bytes = moved_bytes(timing); bytes > 0) {
    timing.hand_over_s_per_byte = hand_over_s / (bytes / 2);
    timing.message_core_s_per_byte = messages_s / bytes;
  }
}

}  // namespace

TimingFile read_timing_file(const std::filesystem::path& path) {
  const std::string name = path.string();
  const auto content = format::parse_strict_json(read_text_file(path, 64 << 20), name);
  const auto stages = content.is_object() ? content.find("stages") : content.end();
  if (stages == content.end() || !stages->is_array() || stages->empty())
    throw DataError(name + ": 'stages' is no list of stages",
                    "take the timing.json of a run of several ranks");
  TimingFile timing;
  for (size_t p = 0; p < stages->size(); ++p) {
    const JsonFigures stage((*stages)[p], name + ": stages[" + std::to_string(p) + "]");
    read_costs(stage, timing.stages.emplace_back());
  }
  const JsonFigures run(content, name);
  timing.forward_bytes = run.amount("forward_bytes");
  timing.backward_bytes = run.amount("backward_bytes");
  timing.micro_batches = static_cast<int64_t>(run.amount("micro_batches"));
  timing.replicas = static_cast<int64_t>(run.amount_or("replicas", 1));
  timing.schedule = run.text_or("schedule", "");
  timing.step_s = run.amount_or("step_s", 0);
  read_core_costs(*stages, name, timing);
  return timing;
}

std::vector<StageCosts> stages_of(const std::vector<StageCosts>& measured, int64_t stages) {
  if (stages == std::ssize(measured)) return measured;
  StageCosts mean;
  // Every stage but the last encodes activations, every one but the first decodes them: the cost of
  // a message is that of one which has it.
  const auto ratio = static_cast<double>(measured.size()) / static_cast<double>(stages);
  for (const auto& [field, cost] : kCosts) {
    const bool is_of_message = std::string_view(field).find("code") != std::string_view::npos;
    double sum = 0, count = 0;
    for (const StageCosts& stage : measured) {
      sum += stage.*cost;
      count += stage.*cost > 0;
    }
    if (is_of_message)
      mean.*cost = count > 0 ? sum / count : 0;
    else
      mean.*cost = sum / static_cast<double>(measured.size()) * ratio;
  }
  return std::vector<StageCosts>(static_cast<size_t>(stages), mean);
}

}  // namespace qtk::dist
