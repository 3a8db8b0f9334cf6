// link.json: what `qtk bench link` measured of the links between neighbouring ranks, and what the
// simulator takes from it.
#pragma once

#include "dist/simulation/link_model.hpp"

#include <nlohmann/json_fwd.hpp>

#include <filesystem>
#include <string>
#include <vector>

namespace qtk::dist {

/// Time of one message of this size; of both directions at once, per message.
struct LinkSample {
  int64_t bytes = 0;
  double one_way_s = 0, both_ways_s = 0;
};

/// One pair of neighbours. Rates are of the payload, per direction.
struct LinkFigures {
  int64_t from = 0, to = 0;
  double round_trip_s = 0;  // of a message of one byte and its answer
  double overhead_s = 0;    // per message, of many small ones sent one after another
  double latency_s = 0;     // the rest of a one-way trip
  double rate_bits_s = 0, both_ways_bits_s = 0;
  double send_cpu_s_per_byte = 0, receive_cpu_s_per_byte = 0;
  double fit_error = 0;  // the largest relative deviation of a sample from the fitted line
  std::vector<LinkSample> samples;
};

nlohmann::json link_json(const std::vector<LinkFigures>& pairs);

/// The slowest of the pairs, figure by figure: a pipeline is as fast as its slowest link.
LinkModel slowest_link(const std::vector<LinkFigures>& pairs);

/// The text of such a file. @param where  names it in messages. @throws DataError naming the field
std::vector<LinkFigures> parse_link_json(const std::string& text, const std::string& where);
/// @throws DataError naming file and field
std::vector<LinkFigures> read_link_file(const std::filesystem::path& file);

}  // namespace qtk::dist
