// What Split and Replace look for: a literal string or a regular expression in Oniguruma's syntax,
// run by PCRE2.
#pragma once

#include "text/json_field.hpp"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace qtk::text {

struct Range {
  size_t begin = 0, end = 0;

  size_t size() const { return end - begin; }
  bool operator==(const Range&) const = default;
};

/// Immutable; may be used from several threads.
class Pattern {
 public:
  /// @throws DataError naming `where` for an empty literal
  static Pattern literal(std::string text, const JsonField& where);
  /// @throws DataError naming `where` if the expression does not compile or uses a construct whose
  /// meaning differs between Oniguruma and PCRE2 and is not translated
  static Pattern regex(std::string_view oniguruma, const JsonField& where);
  /// {"String": "..."} or {"Regex": "..."}
  static Pattern read(const JsonField& field);
  ~Pattern();
  Pattern(Pattern&&) noexcept;
  Pattern& operator=(Pattern&&) noexcept;

  /// The first match at or behind `from`; may be empty. `text` is valid UTF-8 and what lies outside
  /// it does not exist for assertions. @throws DataError if the expression exceeds PCRE2's limits
  /// on this text
  std::optional<Range> find(std::string_view text, size_t from) const;

 private:
  struct Compiled;
  Pattern();

  std::string source_;
  std::unique_ptr<const Compiled> compiled_;  // null for a literal
};

/// Successive matches in `text`; an empty one directly behind another match is skipped.
class Matches {
 public:
  Matches(const Pattern& pattern, std::string_view text) : pattern_(pattern), text_(text) {}
  std::optional<Range> next();

 private:
  const Pattern& pattern_;
  std::string_view text_;
  size_t from_ = 0;
  std::optional<size_t> last_end_;
};

/// `text` with every match replaced by `content`, taken literally.
std::string replace_matches(const Pattern& pattern, std::string_view text,
                            std::string_view content);

}  // namespace qtk::text
