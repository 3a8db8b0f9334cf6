#include "dist/simulation/timing_file.hpp"

#include "base/atomic_file.hpp"
#include "dist/simulation/json_figures.hpp"
#include "format/strict_json.hpp"

#include <qtk/runtime/error.hpp>

#include <nlohmann/json.hpp>

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
    StageCosts& costs = timing.stages.emplace_back();
    costs.forward_s = stage.amount("forward_s");
    costs.backward_s = stage.amount("backward_s");
    for (const auto& [field, cost] : kCosts) costs.*cost = stage.amount_or(field, 0);
  }
  const JsonFigures run(content, name);
  timing.forward_bytes = run.amount("forward_bytes");
  timing.backward_bytes = run.amount("backward_bytes");
  timing.micro_batches = static_cast<int64_t>(run.amount("micro_batches"));
  timing.replicas = static_cast<int64_t>(run.amount_or("replicas", 1));
  timing.schedule = run.text_or("schedule", "");
  timing.step_s = run.amount_or("step_s", 0);
  return timing;
}

std::vector<StageCosts> stages_of(const TimingFile& timing, int64_t stages) {
  if (stages == std::ssize(timing.stages)) return timing.stages;
  StageCosts mean;
  // Every stage but the last encodes activations, every one but the first decodes them: the cost of
  // a message is that of one which has it.
  const auto measured = static_cast<double>(timing.stages.size());
  for (const auto& [field, cost] : kCosts) {
    const bool is_of_message = std::string_view(field).find("code") != std::string_view::npos;
    double sum = 0, count = 0;
    for (const StageCosts& stage : timing.stages) {
      sum += stage.*cost;
      count += stage.*cost > 0;
    }
    if (is_of_message)
      mean.*cost = count > 0 ? sum / count : 0;
    else
      mean.*cost = sum / measured * (measured / static_cast<double>(stages));
  }
  return std::vector<StageCosts>(static_cast<size_t>(stages), mean);
}

}  // namespace qtk::dist
