#include "plugin/probe_record.hpp"

#include <algorithm>

namespace qtk::plugin {

ProbeRecord parse_probe_record(std::string_view text) {
  ProbeRecord record;
  while (!text.empty() && !record.has_passed && !record.has_failed) {
    const size_t end = text.find('\n');
    if (end == text.npos) break;  // the child died in the middle of a line
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (line.starts_with("at=")) record.phase = line.substr(3);
    record.has_passed = line == "passed";
    record.has_failed = line == "failed";
  }
  if (record.has_failed) {
    const size_t end = std::min(text.find('\0'), text.size());
    record.sentence = text.substr(0, end);
    record.remedy = text.substr(std::min(end + 1, text.size()));
  }
  return record;
}

}  // namespace qtk::plugin
