// What must be refused before a YAML library sees the text: anything that costs it much time or
// memory, and what it would accept in silence (bytes that are no UTF-8, control characters) or
// explain badly (tabs).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace qtk::config {

struct YamlLimits {
  static constexpr int64_t kBytes = 1 << 20;  // of one file
  static constexpr int64_t kNodes = 100'000;  // after aliases are expanded; keys count too
  static constexpr int kDepth = 64;           // of nested maps and sequences
};

struct YamlHazard {
  std::string message;
  size_t offset = 0;  // byte in the text
  std::string remedy;
};

YamlHazard too_many_nodes(size_t offset);
YamlHazard too_deep(size_t offset);

/// More than YamlLimits::kBytes.
std::optional<YamlHazard> find_size_hazard(std::string_view text);

/// All the others. One linear pass without recursion. Nesting and counts are estimates that are
/// wrong in contrived texts only; the exact limits are kept while the events of the parser are
/// recorded.
std::optional<YamlHazard> find_yaml_hazard(std::string_view text);

}  // namespace qtk::config
