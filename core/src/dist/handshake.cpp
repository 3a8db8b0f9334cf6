#include "dist/handshake.hpp"

#include "base/fault_point.hpp"
#include "base/interrupt.hpp"
#include "base/nearest_name.hpp"

#include <qtk/runtime/error.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <thread>

namespace qtk::dist {
namespace {

using nlohmann::json;

constexpr size_t kListed = 24;  // differences in a message

std::string value_or_absent(const Facts& facts, const std::string& key) {
  const auto found = facts.find(key);
  return found == facts.end() ? "absent" : "`" + found->second + "`";
}

std::string listed(std::vector<std::string> lines) {
  const size_t more = lines.size() > kListed ? lines.size() - kListed : 0;
  lines.resize(lines.size() - more);
  std::string text;
  for (const auto& line : lines) text += "\n   " + line;
  if (more > 0) text += "\n   and " + std::to_string(more) + " more";
  return text;
}

/// Text of every rank, in rank order.
std::vector<std::string> exchange(RunStore& store, const Mesh& mesh, const std::string& round,
                                  const std::string& own, Seconds timeout) {
  const auto key = [&](int rank) { return round + "/" + std::to_string(rank); };
  store.set(key(mesh.rank), own);
  std::vector<std::string> texts;
  for (int rank = 0; rank < mesh.world(); ++rank) texts.push_back(store.get(key(rank), timeout));
  return texts;
}

std::string hello_key(int rank) { return "hello/" + std::to_string(rank); }

}  // namespace

std::vector<std::string> differences(const Facts& first, const Facts& other,
                                     const std::string& other_name) {
  std::map<std::string, bool> keys;
  for (const auto& [key, value] : first) keys[key] = true;
  for (const auto& [key, value] : other) keys[key] = true;
  std::vector<std::string> lines;
  for (const auto& [key, ignored] : keys) {
    const std::string one = value_or_absent(first, key), two = value_or_absent(other, key);
    if (one != two) lines.push_back(other_name + ": " + key + " is " + two + ", rank 0 has " + one);
  }
  return lines;
}

void introduce(RunStore& store, const Mesh& mesh, const std::string& who, Seconds timeout) {
  fault_point("rendezvous");
  const std::string key = hello_key(mesh.rank);
  if (store.add(key + "/count", 1) > 1)
    throw Error("rank " + std::to_string(mesh.rank) + " appeared twice: here as " + who +
                    ", before as " + store.find(key).value_or("another process"),
                "give every process a rank of its own, and every run a port or a run id of its own",
                ExitCode::kEnvironment, "dist");
  store.set(key, who);
  const auto end = std::chrono::steady_clock::now() + milliseconds(timeout);
  std::vector<std::string> missing;
  do {
    missing.clear();
    std::vector<std::string> keys;
    for (int rank = 0; rank < mesh.world(); ++rank) keys.push_back(hello_key(rank));
    const auto found = store.find_all(keys);
    for (size_t rank = 0; rank < found.size(); ++rank)
      if (!found[rank]) missing.push_back(std::to_string(rank));
    if (missing.empty()) return;
    stop_if_interrupted();  // a launcher that lost one of them says so with SIGTERM
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  } while (std::chrono::steady_clock::now() < end);
  throw Error("of " + std::to_string(mesh.world()) + " processes, ranks " + join(missing) +
                  " did not appear within " + std::to_string(static_cast<int>(timeout.count())) +
                  " s",
              "see why they did not start; dist.timeouts.rendezvous_s says how long to wait",
              ExitCode::kPeerLost, "dist");
}

void compare_facts(RunStore& store, const Mesh& mesh, const std::string& round, const Facts& facts,
                   Seconds timeout) {
  fault_point("handshake");
  const auto texts = exchange(store, mesh, "facts/" + round, json(facts).dump(), timeout);
  const Facts first = json::parse(texts.front()).get<Facts>();
  std::vector<std::string> lines;
  for (size_t rank = 1; rank < texts.size(); ++rank)
    for (auto& line : differences(first, json::parse(texts[rank]).get<Facts>(),
                                  mesh.name_of(static_cast<int>(rank))))
      lines.push_back(std::move(line));
  if (lines.empty()) return;
  const bool is_config = std::ranges::all_of(lines, [](const std::string& line) {
    return line.find(std::string(": ") + kConfigFact) != std::string::npos;
  });
  const std::string sentence = "the processes differ in " + std::to_string(lines.size()) +
                               (lines.size() == 1 ? " thing:" : " things:") + listed(lines);
  if (is_config) throw ConfigError(sentence, "start all of them with the same configuration");
  throw Error(sentence, "install the same qtk and plugins everywhere", ExitCode::kEnvironment,
              "dist");
}

void compare_links(RunStore& store, const Mesh& mesh, const std::string& round,
                   const std::vector<LinkFact>& own, Seconds timeout) {
  json content = json::object();
  for (const auto& fact : own)
    content[fact.link][fact.is_sender ? "sends" : "expects"] = {{"format", fact.format},
                                                                {"who", mesh.name_of(mesh.rank)}};
  const auto texts = exchange(store, mesh, "links/" + round, content.dump(), timeout);
  json all = json::object();
  for (const auto& text : texts) all.merge_patch(json::parse(text));
  std::vector<std::string> lines;
  for (const auto& [link, ends] : all.items()) {
    const json sends = ends.value("sends", json::object()),
               expects = ends.value("expects", json::object());
    const std::string one = sends.value("format", "nothing"),
                      two = expects.value("format", "nothing");
    if (one != two)
      lines.push_back("link " + link + ": " + sends.value("who", "nobody") + " sends " + one +
                      ", " + expects.value("who", "nobody") + " expects " + two);
  }
  if (!lines.empty())
    throw ConfigError(
        "the ends of " + std::to_string(lines.size()) + " links do not fit:" + listed(lines),
        "both ends must read the same `comm` section");
}

}  // namespace qtk::dist
