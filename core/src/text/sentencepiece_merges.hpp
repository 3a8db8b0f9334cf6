// SentencePiece stores a score for every piece, Hugging Face's BPE a ranked list of merges.
#pragma once

#include "text/merge_list.hpp"

#include <string>
#include <vector>

namespace qtk::text {

/// Every way to put a piece together from two others, best score first, as Hugging Face's converter
/// lists them. Ties are broken by the longer left part, then the longer right part, then by the
/// pieces' order.
/// @param pieces  distinct, valid UTF-8; @param scores  one per piece
MergeList merges_from_scores(const std::vector<std::string>& pieces,
                             const std::vector<double>& scores);

/// Scores from which merges_from_scores() rebuilds `merges`, if any exist: minus the position at
/// which a piece first results from a merge; pieces that never do come last.
std::vector<double> scores_from_merges(const std::vector<std::string>& pieces,
                                       const MergeList& merges);

}  // namespace qtk::text
