// What a probe's child tells its parent, line after line on one descriptor:
//
//   at=opening        it is about to open the file, ...
//   at=describing
//   at=constructing
//   passed            the last line, or instead of it:
//   failed            followed by the sentence up to a zero byte and the remedy up to the end
#pragma once

#include <string>
#include <string_view>

namespace qtk::plugin {

/// The child's descriptor for its record.
constexpr int kRecordDescriptor = 3;

struct ProbeRecord {
  std::string phase;  // last one begun: "opening"; empty: the child never got that far
  bool has_passed = false;
  bool has_failed = false;
  std::string sentence;  // of a failure
  std::string remedy;
};

ProbeRecord parse_probe_record(std::string_view text);

}  // namespace qtk::plugin
