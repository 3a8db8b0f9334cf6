#include "text/normalizer.hpp"

#include "text/pattern.hpp"
#include "text/utf8.hpp"

#include <qtk/runtime/error.hpp>

#include <utf8proc.h>

#include <algorithm>
#include <vector>

namespace qtk::text {
namespace {

constexpr size_t kMaxInsertedBytes = 256;

class Prepend final : public Normalizer {
 public:
  explicit Prepend(std::string prefix) : prefix_(std::move(prefix)) {}

  std::string apply(std::string text) const override {
    if (!text.empty()) text.insert(0, prefix_);
    return text;
  }

 private:
  const std::string prefix_;
};

class Replace final : public Normalizer {
 public:
  Replace(Pattern pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}

  std::string apply(std::string text) const override {
    return replace_matches(pattern_, text, content_);
  }

 private:
  const Pattern pattern_;
  const std::string content_;
};

/// Unicode's normalization forms. Runs of characters that no form changes are the rule, so they are
/// looked for first.
class UnicodeForm final : public Normalizer {
 public:
  /// @param first_changed  every character below is a starter that the form leaves alone
  UnicodeForm(int options, char32_t first_changed)
      : options_(static_cast<utf8proc_option_t>(options | UTF8PROC_STABLE)),
        first_changed_(first_changed) {}

  std::string apply(std::string text) const override {
    if (is_unchanged(text)) return text;
    utf8proc_uint8_t* result = nullptr;
    const auto length = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                     static_cast<utf8proc_ssize_t>(text.size()), &result, options_);
    if (length < 0)
      throw DataError(std::string("cannot normalize a text: ") + utf8proc_errmsg(length),
                      "check its encoding");
    const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(result, &std::free);
    return {reinterpret_cast<const char*>(result), static_cast<size_t>(length)};
  }

 private:
  bool is_unchanged(std::string_view text) const {
    for (size_t i = 0; i < text.size(); i += utf8_length(text[i])) {
      if (static_cast<unsigned char>(text[i]) >= 0xc2 &&
          decode_utf8(text.data() + i) >= first_changed_)
        return false;
    }
    return true;
  }

  const utf8proc_option_t options_;
  const char32_t first_changed_;
};

class NormalizerSequence final : public Normalizer {
 public:
  explicit NormalizerSequence(std::vector<std::unique_ptr<const Normalizer>> steps)
      : steps_(std::move(steps)) {}

  std::string apply(std::string text) const override {
    for (const auto& step : steps_) text = step->apply(std::move(text));
    return text;
  }

 private:
  const std::vector<std::unique_ptr<const Normalizer>> steps_;
};

/// What goes into the text, perhaps at every character of it.
const std::string& short_text(const JsonField& field) {
  if (field.text().size() > kMaxInsertedBytes)
    field.fail("has " + std::to_string(field.text().size()) + " bytes, expected at most " +
               std::to_string(kMaxInsertedBytes));
  return field.text();
}

std::unique_ptr<const Normalizer> read_unicode_form(const std::string& type) {
  const bool composes = type.ends_with('C');
  const int compatibility = type.starts_with("NFK") ? UTF8PROC_COMPAT : 0;
  // Combining marks start at U+0300; compositions and compatibility characters at U+00A0.
  const char32_t first_changed = composes && !compatibility ? 0x300 : 0xa0;
  return std::make_unique<UnicodeForm>(
      (composes ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE) | compatibility, first_changed);
}

std::unique_ptr<const Normalizer> read_normalizer_sequence(const JsonField& field) {
  field.allow_keys({"type", "normalizers"});
  std::vector<std::unique_ptr<const Normalizer>> steps;
  for (const JsonField& step : field.at("normalizers").items())
    steps.push_back(read_normalizer(step));
  return std::make_unique<NormalizerSequence>(std::move(steps));
}

}  // namespace

Normalizer::~Normalizer() = default;

std::unique_ptr<const Normalizer> read_normalizer(const std::optional<JsonField>& field) {
  if (!field) return nullptr;
  const std::string& type =
      field->type_among({"Sequence", "Prepend", "Replace", "NFC", "NFD", "NFKC", "NFKD"});
  if (type == "Sequence") return read_normalizer_sequence(*field);
  if (type == "Prepend") {
    field->allow_keys({"type", "prepend"});
    return std::make_unique<Prepend>(short_text(field->at("prepend")));
  }
  if (type == "Replace") {
    field->allow_keys({"type", "pattern", "content"});
    return std::make_unique<Replace>(Pattern::read(field->at("pattern")),
                                     field->at("content").text());
  }
  field->allow_keys({"type"});
  return read_unicode_form(type);
}

}  // namespace qtk::text
