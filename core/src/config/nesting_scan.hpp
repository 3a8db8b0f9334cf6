// Walks a YAML text as a scanner would, but keeps only what nesting and counts need: quotes,
// comments, block scalars, flow brackets and the indicators that start a node. yaml-cpp buffers a
// whole flow collection before it reports its first event, so a limit in its event handler alone
// would come after the memory was spent.
#pragma once

#include "config/yaml_guard.hpp"

#include <cstdint>
#include <optional>
#include <string_view>

namespace qtk::config {

class NestingScan {
 public:
  explicit NestingScan(std::string_view text) : text_(text) {}

  /// The first hazard, if any. Call once.
  std::optional<YamlHazard> run();

 private:
  enum class Quote { kNone, kSingle, kDouble };

  void scan_line();
  /// Passes the indentation. False if nothing on this line matters: it is blank or belongs to a
  /// block scalar.
  bool enter_line();
  void scan_character();
  void scan_quoted(char c);
  /// The next three are true if they took the character.
  bool scan_node_start(char c);
  bool scan_block_indicator(char c);
  bool scan_bracket(char c);
  void scan_separator(char c);

  char peek(size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\n';
  }
  bool is_blank(size_t ahead) const {
    return peek(ahead) == ' ' || peek(ahead) == '\t' || peek(ahead) == '\n';
  }
  bool is_flow_indicator(size_t ahead) const;
  bool in_flow() const { return flow_depth_ > 0; }
  int64_t column() const { return static_cast<int64_t>(at_ - line_start_); }
  void skip_rest_of_line();
  void count(int64_t nodes);
  void nest(int& depth);

  std::string_view text_;
  size_t at_ = 0;
  size_t line_start_ = 0;
  int64_t indent_ = 0;                   // of the innermost node that starts on this line
  bool after_dash_ = false;              // the next node on this line sets a new indent
  std::optional<int64_t> block_indent_;  // lines indented further belong to a block scalar
  int dash_depth_ = 0;                   // on this line
  int flow_depth_ = 0;
  int64_t nodes_ = 0;
  bool node_may_start_ = true;
  bool after_closing_ = false;  // a quote or bracket closed: `"a":b` is a pair in flow style
  Quote quote_ = Quote::kNone;
  std::optional<YamlHazard> hazard_;
};

}  // namespace qtk::config
