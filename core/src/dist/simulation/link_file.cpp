#include "dist/simulation/link_file.hpp"

#include "base/atomic_file.hpp"
#include "dist/simulation/json_figures.hpp"
#include "format/strict_json.hpp"

#include <qtk/runtime/error.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace qtk::dist {
namespace {

using nlohmann::json;
using Figure = double LinkFigures::*;
constexpr std::pair<const char*, Figure> kFigures[] = {
    {"round_trip_s", &LinkFigures::round_trip_s},
    {"overhead_s", &LinkFigures::overhead_s},
    {"latency_s", &LinkFigures::latency_s},
    {"rate_bits_s", &LinkFigures::rate_bits_s},
    {"both_ways_bits_s", &LinkFigures::both_ways_bits_s},
    {"send_cpu_s_per_byte", &LinkFigures::send_cpu_s_per_byte},
    {"receive_cpu_s_per_byte", &LinkFigures::receive_cpu_s_per_byte},
    {"fit_error", &LinkFigures::fit_error}};

}  // namespace

json link_json(const std::vector<LinkFigures>& pairs) {
  json list = json::array();
  for (const LinkFigures& pair : pairs) {
    json entry = {{"from", pair.from}, {"to", pair.to}};
    for (const auto& [name, figure] : kFigures) entry[name] = pair.*figure;
    for (const LinkSample& sample : pair.samples)
      entry["samples"].push_back({{"bytes", sample.bytes},
                                  {"one_way_s", sample.one_way_s},
                                  {"both_ways_s", sample.both_ways_s}});
    list.push_back(std::move(entry));
  }
  return {{"format", "qtk-link"}, {"version", 1}, {"pairs", list}};
}

LinkModel slowest_link(const std::vector<LinkFigures>& pairs) {
  LinkModel link;
  for (const LinkFigures& pair : pairs) {
    link.latency_s = std::max(link.latency_s, pair.latency_s);
    link.overhead_s = std::max(link.overhead_s, pair.overhead_s);
    link.send_cpu_s_per_byte = std::max(link.send_cpu_s_per_byte, pair.send_cpu_s_per_byte);
    link.receive_cpu_s_per_byte =
        std::max(link.receive_cpu_s_per_byte, pair.receive_cpu_s_per_byte);
    if (pair.rate_bits_s > 0 && (link.rate_bits_s == 0 || pair.rate_bits_s < link.rate_bits_s))
      link.rate_bits_s = pair.rate_bits_s;
  }
  return link;
}

std::vector<LinkFigures> parse_link_json(const std::string& text, const std::string& where) {
  const json content = format::parse_strict_json(text, where);
  if (JsonFigures(content, where).text_or("format", "") != "qtk-link" ||
      !content.contains("pairs") || !content["pairs"].is_array() || content["pairs"].empty())
    throw DataError(where + " holds no figures of links", "make it with `qtk bench link --out`");
  std::vector<LinkFigures> pairs;
  for (const json& entry : content["pairs"]) {
    const JsonFigures figures(entry, where + ": pairs[" + std::to_string(pairs.size()) + "]");
    LinkFigures& pair = pairs.emplace_back();
    pair.from = static_cast<int64_t>(figures.amount("from"));
    pair.to = static_cast<int64_t>(figures.amount("to"));
    for (const auto& [field, figure] : kFigures) pair.*figure = figures.amount(field);
    if (!entry.contains("samples") || !entry["samples"].is_array()) continue;
    for (const json& sample : entry["samples"]) {
      const JsonFigures times(sample, where + ": a sample");
      pair.samples.push_back({static_cast<int64_t>(times.amount("bytes")),
                              times.amount("one_way_s"), times.amount("both_ways_s")});
    }
  }
  return pairs;
}

std::vector<LinkFigures> read_link_file(const std::filesystem::path& path) {
  return parse_link_json(read_text_file(path, 16 << 20), path.string());
}

}  // namespace qtk::dist
