#include "train/shared_checkpoints.hpp"

#include <qtk/runtime/error.hpp>

#include <vector>

namespace qtk::train {

SharedCheckpoints::SharedCheckpoints(std::filesystem::path folder, int64_t keep, dist::World& world,
                                     bool shares_optimizer)
    : folder_(std::move(folder)),
      store_(folder_, keep),
      world_(world),
      shares_optimizer_(shares_optimizer) {}

TrainState SharedCheckpoints::own_part(const TrainState& state) const {
  TrainState part = state;
  if (world_.mesh().replica() == 0) return part;
  std::vector<std::string> held_by_the_first = {"tensors/", "layers/"};
  if (!shares_optimizer_) held_by_the_first.emplace_back("optimizer/");
  for (const auto& prefix : held_by_the_first) {
    std::erase_if(part.tensors, [&](const auto& entry) { return entry.first.starts_with(prefix); });
    std::erase_if(part.aliases, [&](const auto& entry) { return entry.first.starts_with(prefix); });
    std::vector<std::string> names;
    for (const auto& [name, value] : part.values.items())
      if (name.starts_with(prefix)) names.push_back(name);
    for (const auto& name : names) part.values.erase(name);
  }
  return part;
}

void SharedCheckpoints::save(int64_t step, const TrainState& state) {
  const std::string name = "checkpoint of step " + std::to_string(step);
  if (world_.is_chief()) store_.begin(step);
  world_.meet(name + " begins");
  world_.begin("writing the " + name);
  store_.write_part(step, world_.mesh().rank, own_part(state));
  world_.meet(name + " is written");
  if (world_.is_chief()) {
    world_.begin("committing the " + name);
    store_.commit(step, world_.mesh().world());
  }
  world_.meet(name + " is committed");
}

std::optional<Checkpoint> SharedCheckpoints::newest() {
  std::optional<Checkpoint> found;
  const std::string step = world_.from_chief("checkpoint in " + folder_.string(), [&] {
    found = store_.newest();
    return std::to_string(found ? found->step : -1);
  });
  if (step == "-1" || found) return found;
  return store_.read(std::stoll(step));
}

}  // namespace qtk::train
