#include "text/pattern.hpp"

#include "text/oniguruma.hpp"
#include "text/utf8.hpp"

#include <qtk/runtime/error.hpp>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>

namespace qtk::text {
namespace {

constexpr size_t kMaxExpressionBytes = 1 << 16;
constexpr size_t kMaxJitStackBytes = 8 << 20;

std::string pcre2_message(int code) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

/// Scratch space of one thread. Only the whole match is wanted, hence one pair of offsets.
struct MatchScratch {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(32 << 10, kMaxJitStackBytes, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);

  MatchScratch() {
    if (!data || !stack || !context) throw std::bad_alloc();
    pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~MatchScratch() {
    pcre2_match_context_free(context);
    pcre2_jit_stack_free(stack);
    pcre2_match_data_free(data);
  }
  MatchScratch(const MatchScratch&) = delete;
  MatchScratch& operator=(const MatchScratch&) = delete;
};

MatchScratch& match_scratch() {
  thread_local MatchScratch scratch;
  return scratch;
}

}  // namespace

struct Pattern::Compiled {
  explicit Compiled(pcre2_code* c) : code(c) {}
  ~Compiled() { pcre2_code_free(code); }
  Compiled(const Compiled&) = delete;
  Compiled& operator=(const Compiled&) = delete;

  pcre2_code* code;
};

Pattern::Pattern() = default;
Pattern::~Pattern() = default;
Pattern::Pattern(Pattern&&) noexcept = default;
Pattern& Pattern::operator=(Pattern&&) noexcept = default;

Pattern Pattern::literal(std::string text, const JsonField& where) {
  if (text.empty()) where.fail("is empty, expected a string to look for");
  Pattern pattern;
  pattern.source_ = std::move(text);
  return pattern;
}

Pattern Pattern::regex(std::string_view oniguruma, const JsonField& where) {
  if (oniguruma.size() > kMaxExpressionBytes)
    where.fail("has " + std::to_string(oniguruma.size()) + " bytes, expected at most " +
               std::to_string(kMaxExpressionBytes));
  const std::string source = pcre2_from_oniguruma(oniguruma, where);
  int error = 0;
  size_t offset = 0;
  pcre2_code* code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(source.data()), source.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE, &error, &offset, nullptr);
  if (!code)
    where.fail("does not compile as a regular expression: " + pcre2_message(error) + " at offset " +
               std::to_string(offset) + " of `" + source + "`");
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // without JIT the interpreter takes over
  Pattern pattern;
  pattern.source_ = oniguruma;
  pattern.compiled_ = std::make_unique<const Compiled>(code);
  return pattern;
}

Pattern Pattern::read(const JsonField& field) {
  field.allow_keys({"String", "Regex"});
  if (const auto text = field.find("String")) return literal(text->text(), *text);
  const JsonField expression = field.at("Regex");
  return regex(expression.text(), expression);
}

std::optional<Range> Pattern::find(std::string_view text, size_t from) const {
  if (!compiled_) {
    const size_t at = text.find(source_, from);
    if (at == text.npos) return std::nullopt;
    return Range{at, at + source_.size()};
  }
  MatchScratch& scratch = match_scratch();
  const int found =
      pcre2_match(compiled_->code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                  PCRE2_NO_UTF_CHECK, scratch.data, scratch.context);
  if (found == PCRE2_ERROR_NOMATCH) return std::nullopt;
  if (found < 0)
    throw DataError("the tokenizer's expression `" + source_ + "` fails on a text of " +
                        std::to_string(text.size()) + " bytes: " + pcre2_message(found),
                    "split the text into shorter documents");
  const size_t* offsets = pcre2_get_ovector_pointer(scratch.data);
  return Range{offsets[0], offsets[1]};
}

std::optional<Range> Matches::next() {
  while (from_ <= text_.size()) {
    const auto match = pattern_.find(text_, from_);
    if (!match) break;
    if (match->size() == 0 && last_end_ == match->end) {
      from_ += from_ < text_.size() ? utf8_length(text_[from_]) : 1;
      continue;
    }
    from_ = match->end;
    last_end_ = match->end;
    return match;
  }
  return std::nullopt;
}

std::string replace_matches(const Pattern& pattern, std::string_view text,
                            std::string_view content) {
  std::string out;
  out.reserve(text.size() + text.size() / 4);
  size_t copied = 0;
  Matches matches(pattern, text);
  while (const auto match = matches.next()) {
    (out += text.substr(copied, match->begin - copied)) += content;
    copied = match->end;
  }
  return out += text.substr(copied);
}

}  // namespace qtk::text
