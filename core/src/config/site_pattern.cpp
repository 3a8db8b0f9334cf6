#include "config/site_pattern.hpp"

#include <qtk/runtime/error.hpp>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>

namespace qtk::config {
namespace {

constexpr std::string_view kPrefix = "re:";
constexpr size_t kLongestPattern = 4096;
// An honest pattern on a layer's name needs some hundred steps; (a+)+b on forty letters needs
// 10^12.
constexpr uint32_t kMostSteps = 1'000'000;

std::string error_text(int code) {
  std::array<PCRE2_UCHAR, 256> buffer{};
  pcre2_get_error_message(code, buffer.data(), buffer.size());
  return reinterpret_cast<const char*>(buffer.data());
}

bool is_site_name(std::string_view text) {
  const auto is_part = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
  };
  return !text.empty() && std::ranges::all_of(text, is_part);
}

struct FreeMatch {
  void operator()(pcre2_match_data* match) const { pcre2_match_data_free(match); }
};

}  // namespace

struct SitePattern::Expression {
  struct FreeCode {
    void operator()(pcre2_code* code) const { pcre2_code_free(code); }
  };
  struct FreeContext {
    void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
  };

  std::unique_ptr<pcre2_code, FreeCode> code;
  std::unique_ptr<pcre2_match_context, FreeContext> context{pcre2_match_context_create(nullptr)};
};

SitePattern::SitePattern(const std::string& text) : text_(text) {
  if (!text.starts_with(kPrefix)) {
    if (is_site_name(text)) return;
    throw ConfigError("`" + text + "` is no site name",
                      "a regular expression starts with `re:`, for example re:.*_proj");
  }
  const std::string_view source = std::string_view(text).substr(kPrefix.size());
  if (source.empty())
    throw ConfigError("the regular expression is empty", "to match every site write  re:.*");
  if (source.size() > kLongestPattern)
    throw ConfigError("the regular expression is too long", "use several patterns");
  int code = 0;
  PCRE2_SIZE offset = 0;
  auto expression = std::make_shared<Expression>();
  expression->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(source.data()), source.size(),
                                       PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_NEVER_BACKSLASH_C,
                                       &code, &offset, nullptr));
  if (!expression->code)
    throw ConfigError("`" + text + "` is no valid regular expression: " + error_text(code) +
                          " at character " + std::to_string(offset + 1),
                      "the syntax is Perl's; escape a literal point as \\.");
  pcre2_set_match_limit(expression->context.get(), kMostSteps);
  expression_ = std::move(expression);
}

bool SitePattern::matches(std::string_view name) const {
  if (!expression_) return name == text_;
  const std::unique_ptr<pcre2_match_data, FreeMatch> match(pcre2_match_data_create(1, nullptr));
  const int result = pcre2_match(expression_->code.get(), reinterpret_cast<PCRE2_SPTR>(name.data()),
                                 name.size(), 0, 0, match.get(), expression_->context.get());
  if (result >= 0) return true;
  if (result == PCRE2_ERROR_NOMATCH) return false;
  throw ConfigError(
      "`" + text_ + "` cannot be matched against " + std::string(name) + ": " + error_text(result),
      "write the expression without nested repetitions");
}

bool any_matches(const std::vector<SitePattern>& patterns, std::string_view name) {
  return std::ranges::any_of(patterns,
                             [&](const SitePattern& pattern) { return pattern.matches(name); });
}

std::vector<SitePattern> compile_patterns(const std::vector<std::string>& texts) {
  return {texts.begin(), texts.end()};
}

}  // namespace qtk::config
