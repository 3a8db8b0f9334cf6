#include "dist/world.hpp"

#include "base/logging.hpp"

#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <thread>

namespace qtk::dist {
namespace {

constexpr int kConnectTag = 1 << 25;

std::string who() {
  char host[256] = "unknown";
  ::gethostname(host, sizeof host - 1);
  return std::string(host) + ", pid " + std::to_string(::getpid());
}

/// Threads may wait in the kernel for peers that are gone, so nothing is taken down.
void end_process(const std::string& why) {
  std::fprintf(stderr,
               "error[dist]: %s\n   start the same command again to continue from the last "
               "checkpoint\n",
               why.c_str());
  std::fflush(nullptr);
  ::_exit(static_cast<int>(ExitCode::kPeerLost));
}

void require_size(const WorldSetup& setup) {
  const int wanted = setup.replicas * setup.stages, found = setup.environment.world;
  if (wanted == found) return;
  throw ConfigError("parallel: data " + std::to_string(setup.replicas) + " x pipeline " +
                        std::to_string(setup.stages) + " needs " + std::to_string(wanted) +
                        (wanted == 1 ? " process" : " processes") + ", this is " +
                        describe(setup.environment),
                    wanted == 1 ? "set parallel.data and parallel.pipeline"
                                : "start it with  qtk launch --nproc " + std::to_string(wanted) +
                                      " run CONFIG, or change `parallel`");
}

/// Where one launcher watches all processes, it is to find a silent one first: it can say what that
/// one was doing and where its threads wait.
Timeouts watch_timeouts(const WorldSetup& setup) {
  Timeouts timeouts = setup.timeouts;
  const auto& environment = setup.environment;
  if (environment.source == "qtk launch" && environment.local_world == environment.world)
    timeouts.missed += std::max(1, static_cast<int>(Seconds(1) / timeouts.heartbeat));
  return timeouts;
}

}  // namespace

World::World(WorldSetup setup, Mesh mesh, RunStore store)
    : setup_(std::move(setup)), mesh_(mesh), store_(std::move(store)) {}

std::unique_ptr<World> World::join(WorldSetup setup) {
  require_size(setup);
  const Mesh mesh{setup.replicas, setup.stages, setup.environment.rank};
  core_log().debug(describe(setup.environment));
  auto store = RunStore::open(setup.environment, setup.timeouts.rendezvous);
  std::unique_ptr<World> world(new World(std::move(setup), mesh, std::move(store)));
  introduce(world->store_, mesh, who(), world->setup_.timeouts.rendezvous);
  world->presence_ =
      std::make_unique<Presence>(world->store_, mesh, watch_timeouts(world->setup_),
                                 world->setup_.on_lost ? world->setup_.on_lost : end_process);
  world->control_ = world->group("control", mesh.all_ranks(), c10::kCPU);
  return world;
}

World::~World() {
  if (is_closed_) return;
  // Taking down a group, or the watch, waits for peers that may be gone.
  static_cast<void>(presence_.release());
  for (auto* group : {&control_, &everybody_, &forward_, &backward_, &replicas_, &ends_})
    static_cast<void>(group->release());
}

std::unique_ptr<ProcessGroup> World::group(const std::string& name, std::vector<int> members,
                                           c10::Device device) {
  const auto caller = std::this_thread::get_id();
  return std::make_unique<ProcessGroup>(
      store_, GroupSetup{.name = name,
                         .members = std::move(members),
                         .mesh = mesh_,
                         .device = device,
                         .timeouts = setup_.timeouts,
                         .interface = setup_.interface,
                         .on_wait = [this, caller](const std::string& operation) {
                           // Senders have threads of their own; what counts is the one that
                           // computes.
                           if (std::this_thread::get_id() == caller) presence_->begin(operation);
                         }});
}

void World::open_groups(c10::Device device) {
  everybody_ = group("everybody", mesh_.all_ranks(), device);
  forward_ = group("forward", mesh_.pipeline_ranks(), device);
  backward_ = group("backward", mesh_.pipeline_ranks(), device);
  replicas_ = group("replicas", mesh_.replica_ranks(), device);
  if (mesh_.stages > 1 && (mesh_.is_first() || mesh_.is_last()))
    ends_ =
        group("ends",
              {mesh_.rank_of(mesh_.replica(), 0), mesh_.rank_of(mesh_.replica(), mesh_.stages - 1)},
              device);
  connect_links(device);
}

/// NCCL connects two ranks at their first message and blocks until both have come. In a pipeline
/// one would come with a forward message and the other with a backward one; so all pairs meet here,
/// in one order.
void World::connect_links(c10::Device device) {
  begin("connecting the links");
  at::Tensor nothing = at::zeros({1}, at::TensorOptions().device(device));
  const auto meet_over = [&](ProcessGroup& group, int from, int to) {
    if (group.position() == from) group.send(nothing, to, kConnectTag, "greeting").wait();
    if (group.position() == to) group.receive(nothing, from, kConnectTag, "greeting").wait();
  };
  for (int stage = 0; stage + 1 < mesh_.stages; ++stage) {
    meet_over(*forward_, stage, stage + 1);
    meet_over(*backward_, stage + 1, stage);
  }
  if (ends_) meet_over(*ends_, 0, 1);
}

std::string World::from_chief(const std::string& name, const std::function<std::string()>& make) {
  const std::string key = "chief/" + name;
  if (!is_chief()) {
    begin("waiting for rank 0: " + name);
    // Rank 0 may work for long; if it dies, the signs of life tell.
    return store_.get(key, Seconds(7 * 24 * 3600));
  }
  const std::string value = make();
  store_.set(key, value);
  return value;
}

int64_t World::agree_on_largest(int64_t own) {
  constexpr int64_t kNumbers = 4;
  at::Tensor mine = at::tensor(
      {own, control_->sequence(), everybody_->sequence(), replicas_->sequence()}, at::kLong);
  at::Tensor all = at::empty({mesh_.world() * kNumbers}, at::kLong);
  control_->all_gather(all, mine);
  const auto* numbers = all.const_data_ptr<int64_t>();
  const auto of = [&](int rank, int64_t which) { return numbers[rank * kNumbers + which]; };
  const auto compare = [&](const char* group, int rank, int first, int64_t which) {
    if (of(rank, which) != of(first, which))
      throw Error(std::string("the processes are out of step: of the collectives of `") + group +
                      "`, " + mesh_.name_of(rank) + " has taken part in " +
                      std::to_string(of(rank, which)) + ", " + mesh_.name_of(first) + " in " +
                      std::to_string(of(first, which)),
                  "start the same command again to continue from the last checkpoint",
                  ExitCode::kPeerLost, "dist");
  };
  int64_t largest = own;
  for (int rank = 0; rank < mesh_.world(); ++rank) {
    largest = std::max(largest, of(rank, 0));
    compare("control", rank, 0, 1);
    compare("everybody", rank, 0, 2);
    compare("replicas", rank, rank % mesh_.stages, 3);
  }
  return largest;
}

void World::meet(const std::string& name) {
  begin("meeting: " + name);
  control_->barrier();
}

void World::fail(const std::string& why) noexcept { presence_->fail(why); }

void World::abandon() noexcept {
  try {
    presence_->leave();
  } catch (const std::exception& error) {
    core_log().debug(std::string("the store is gone already: ") + error.what());
  }
}

void World::close() {
  meet("the end");
  presence_->leave();
  is_closed_ = true;
}

}  // namespace qtk::dist
