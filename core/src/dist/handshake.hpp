// Before the first step all processes compare what must be the same on all of them (build,
// configuration, plugins) and what must fit (both ends of every link). All differences are listed,
// on every rank.
#pragma once

#include "dist/mesh.hpp"
#include "dist/run_store.hpp"
#include "dist/timeouts.hpp"

#include <map>
#include <string>
#include <vector>

namespace qtk::dist {

using Facts = std::map<std::string, std::string>;

/// "rank 2 (stage 2): qtk.build is 90ab, rank 0 has 3fe1" and so on; facts that one side lacks
/// count as "absent".
std::vector<std::string> differences(const Facts& first, const Facts& other,
                                     const std::string& other_name);

/// What one end of a link sends or expects: "tah {tile_size: 64} f32 [1, 256, 576]". Sender and
/// receiver must say the same.
struct LinkFact {
  std::string link;  // "forward 1->2"
  bool is_sender = false;
  std::string format;
};

/// Tells the others who this is. @throws Error(kEnvironment) if a rank appears twice,
/// Error(kPeerLost) naming the ranks that did not appear in time
void introduce(RunStore& store, const Mesh& mesh, const std::string& who, Seconds timeout);

/// @param round  names the comparison; once per run
/// @throws Error(kEnvironment), or ConfigError if only keys of the configuration differ
void compare_facts(RunStore& store, const Mesh& mesh, const std::string& round, const Facts& facts,
                   Seconds timeout);
/// @throws ConfigError
void compare_links(RunStore& store, const Mesh& mesh, const std::string& round,
                   const std::vector<LinkFact>& own, Seconds timeout);

/// Keys of facts that begin with it are keys of the configuration.
inline constexpr const char* kConfigFact = "config.";

}  // namespace qtk::dist
