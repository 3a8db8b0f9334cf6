#include "dist/run_store.hpp"

#include "dist/c10d_message.hpp"
#include "dist/store_handle.hpp"

#include <qtk/runtime/error.hpp>

#include <arpa/inet.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <chrono>
#include <cstdlib>
#include <future>
#include <memory>
#include <stdexcept>
#include <thread>

namespace qtk::dist {
namespace {

std::vector<uint8_t> bytes_of(const std::string& text) { return {text.begin(), text.end()}; }
std::string text_of(const std::vector<uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

std::string place(const LaunchEnvironment& environment) {
  return environment.master_address + ":" + std::to_string(environment.master_port);
}

/// TCPStore greets the other side without any time-out: a program that listens there but is no
/// store would keep this process for ever. The thread then stays behind; the process ends anyway.
c10::intrusive_ptr<c10d::TCPStore> open_in_time(const std::string& address,
                                                const c10d::TCPStoreOptions& options) {
  using Opened = std::promise<c10::intrusive_ptr<c10d::TCPStore>>;
  auto opened = std::make_shared<Opened>();
  auto store = opened->get_future();
  std::thread([=] {
    try {
      opened->set_value(c10::make_intrusive<c10d::TCPStore>(address, options));
    } catch (...) {
      opened->set_exception(std::current_exception());
    }
  }).detach();
  if (store.wait_for(options.timeout + std::chrono::seconds(1)) != std::future_status::ready)
    throw std::runtime_error("what listens there does not answer as a store does");
  return store.get();
}

/// c10d looks up the name of every address that it connects to or accepts, only to log it. While a
/// name server does not answer, by default for ten seconds, its store serves nobody, and all ranks
/// take one another for lost. Where addresses are numbers there is no reason to be patient.
void be_impatient_with_name_servers(const std::string& address) {
  in6_addr ignored;
  if (::inet_pton(AF_INET, address.c_str(), &ignored) == 1 ||
      ::inet_pton(AF_INET6, address.c_str(), &ignored) == 1)
    ::setenv("RES_OPTIONS", "timeout:1 attempts:1", /*overwrite=*/0);
}

c10::intrusive_ptr<c10d::Store> connect(const LaunchEnvironment& environment, bool listens,
                                        Seconds timeout) {
  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(environment.master_port);
  options.isServer = listens;
  options.waitWorkers = false;
  options.timeout = milliseconds(timeout);
  auto store = open_in_time(environment.master_address, options);
  return c10::make_intrusive<c10d::PrefixStore>(
      "qtk/" + environment.run_id + "/" + std::to_string(environment.attempt), store);
}

}  // namespace

RunStore::RunStore(std::unique_ptr<Handle> handle) : handle_(std::move(handle)) {}
RunStore::~RunStore() = default;
RunStore::RunStore(RunStore&&) noexcept = default;

RunStore RunStore::open(const LaunchEnvironment& environment, Seconds timeout) {
  const bool listens = environment.rank == 0 && !environment.agent_hosts_store;
  be_impatient_with_name_servers(environment.master_address);
  try {
    return RunStore(
        std::make_unique<Handle>(Handle{environment, connect(environment, listens, timeout)}));
  } catch (const std::exception& error) {
    if (listens)
      throw Error("rank 0 cannot listen on " + place(environment) + ": " + first_line(error),
                  "another run may use the port; set MASTER_PORT to a free one, or start with "
                  "`qtk launch`, which finds one",
                  ExitCode::kEnvironment, "dist");
    throw Error("rank " + std::to_string(environment.rank) + " could not reach rank 0 at " +
                    place(environment) + " within " +
                    std::to_string(static_cast<int>(timeout.count())) + " s",
                "check that rank 0 was started and that the address leads to it",
                ExitCode::kPeerLost, "dist");
  }
}

RunStore RunStore::connect_again(Seconds timeout) const {
  return RunStore(std::make_unique<Handle>(
      Handle{handle_->environment, connect(handle_->environment, false, timeout)}));
}

void RunStore::set(const std::string& key, const std::string& value) {
  handle_->store->set(key, bytes_of(value));
}

std::string RunStore::get(const std::string& key, Seconds timeout) {
  const auto start = std::chrono::steady_clock::now();
  try {
    handle_->store->wait({key}, milliseconds(timeout));
  } catch (const std::exception& error) {
    // Less than the time-out where the store itself is gone.
    const Seconds waited = std::chrono::steady_clock::now() - start;
    throw Error("waited " + std::to_string(static_cast<int>(waited.count())) + " s in vain for `" +
                    key + "`: " + first_line(error),
                "see whether all ranks run; raise dist.timeouts.rendezvous_s if they start slowly",
                ExitCode::kPeerLost, "dist");
  }
  return text_of(handle_->store->get(key));
}

std::optional<std::string> RunStore::find(const std::string& key) {
  if (!handle_->store->check({key})) return std::nullopt;
  return text_of(handle_->store->get(key));
}

std::vector<std::optional<std::string>> RunStore::find_all(const std::vector<std::string>& keys) {
  std::vector<std::optional<std::string>> values;
  if (!keys.empty() && handle_->store->check(keys)) {
    for (auto& value : handle_->store->multiGet(keys)) values.emplace_back(text_of(value));
    return values;
  }
  for (const auto& key : keys) values.push_back(find(key));
  return values;
}

int64_t RunStore::add(const std::string& key, int64_t value) {
  return handle_->store->add(key, value);
}

std::string RunStore::set_once(const std::string& key, const std::string& value) {
  return text_of(handle_->store->compareSet(key, {}, bytes_of(value)));
}

}  // namespace qtk::dist
