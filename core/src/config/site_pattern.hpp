// Which layers a rule means: an exact site name, or `re:` and a regular expression that must match
// the whole name.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace qtk::config {

/// Cheap to copy; safe to use from several threads.
class SitePattern {
 public:
  /// @throws ConfigError if the text is neither a site name nor `re:` and a valid regular
  /// expression (PCRE2)
  explicit SitePattern(const std::string& text);

  /// @throws ConfigError if the expression needs an absurd number of steps on this name
  bool matches(std::string_view name) const;
  const std::string& text() const { return text_; }

 private:
  struct Expression;

  std::string text_;
  std::shared_ptr<const Expression> expression_;  // null: compare names
};

/// True if one of the patterns matches.
bool any_matches(const std::vector<SitePattern>& patterns, std::string_view name);

/// @throws ConfigError as the constructor
std::vector<SitePattern> compile_patterns(const std::vector<std::string>& texts);

}  // namespace qtk::config
