#include "dist/mesh.hpp"

namespace qtk::dist {

std::vector<int> Mesh::pipeline_ranks() const {
  std::vector<int> ranks;
  for (int p = 0; p < stages; ++p) ranks.push_back(rank_of(replica(), p));
  return ranks;
}

std::vector<int> Mesh::replica_ranks() const {
  std::vector<int> ranks;
  for (int d = 0; d < replicas; ++d) ranks.push_back(rank_of(d, stage()));
  return ranks;
}

std::vector<int> Mesh::all_ranks() const {
  std::vector<int> ranks;
  for (int r = 0; r < world(); ++r) ranks.push_back(r);
  return ranks;
}

std::string Mesh::name_of(int of_rank) const {
  const std::string stage_text = "stage " + std::to_string(of_rank % stages);
  const std::string place = replicas == 1
                                ? stage_text
                                : "replica " + std::to_string(of_rank / stages) + ", " + stage_text;
  return "rank " + std::to_string(of_rank) + " (" + place + ")";
}

}  // namespace qtk::dist
