// Who is who: D replicas of a pipeline of P stages. Rank = replica * P + stage.
#pragma once

#include <string>
#include <vector>

namespace qtk::dist {

struct Mesh {
  int replicas = 1, stages = 1;  // D, P
  int rank = 0;

  int world() const { return replicas * stages; }
  int replica() const { return rank / stages; }
  int stage() const { return rank % stages; }
  bool is_first() const { return stage() == 0; }
  bool is_last() const { return stage() == stages - 1; }
  int rank_of(int of_replica, int of_stage) const { return of_replica * stages + of_stage; }

  /// Ranks of this rank's pipeline, by stage.
  std::vector<int> pipeline_ranks() const;
  /// Ranks that hold the same layers, by replica.
  std::vector<int> replica_ranks() const;
  std::vector<int> all_ranks() const;
  /// "rank 3 (replica 1, stage 1)"; "rank 1 (stage 1)" with one replica.
  std::string name_of(int of_rank) const;
};

}  // namespace qtk::dist
