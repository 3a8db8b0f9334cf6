#include "text/pre_tokenizer.hpp"

#include "text/byte_level.hpp"
#include "text/split.hpp"
#include "text/utf8.hpp"

#include <nlohmann/json.hpp>

#include <vector>

namespace qtk::text {
namespace {

constexpr const char* kNumericExpression = R"(\p{N})";

/// Appends a respelled range to the buffer that will replace `pieces`.
template <class Spell>
void respell(Pieces& pieces, const Spell& spell) {
  std::string text;
  text.reserve(pieces.text.size() + pieces.text.size() / 2);
  // A document whose start was removed must not look as if it started with the first range left.
  pieces.starts_document &= !pieces.ranges.empty() && pieces.ranges.front().begin == 0;
  bool starts_document = pieces.starts_document;
  for (Range& range : pieces.ranges) {
    const size_t begin = text.size();
    spell(pieces.view(range), starts_document, text);
    range = {begin, text.size()};
    starts_document = false;
  }
  pieces.text = std::move(text);
}

class SplitStep final : public PreTokenizer {
 public:
  explicit SplitStep(Splitter splitter) : splitter_(std::move(splitter)) {}
  void apply(Pieces& pieces) const override { splitter_.split(pieces); }

 private:
  const Splitter splitter_;
};

class ByteLevel final : public PreTokenizer {
 public:
  ByteLevel(bool adds_space, std::optional<Splitter> words)
      : adds_space_(adds_space), words_(std::move(words)) {}

  void apply(Pieces& pieces) const override {
    if (adds_space_) {
      respell(pieces, [](std::string_view piece, bool, std::string& out) {
        if (!piece.starts_with(' ')) out += ' ';
        out += piece;
      });
    }
    if (words_) words_->split(pieces);
    respell(pieces,
            [](std::string_view piece, bool, std::string& out) { append_byte_level(piece, out); });
  }

 private:
  const bool adds_space_;
  const std::optional<Splitter> words_;
};

class Metaspace final : public PreTokenizer {
 public:
  Metaspace(MetaspaceOptions options, std::optional<Splitter> words)
      : options_(std::move(options)), words_(std::move(words)) {}

  void apply(Pieces& pieces) const override {
    respell(pieces, [this](std::string_view piece, bool starts_document, std::string& out) {
      const bool may_prepend = options_.prepend == PrependScheme::kAlways ||
                               (options_.prepend == PrependScheme::kFirst && starts_document);
      if (may_prepend && !piece.starts_with(' ') && !piece.starts_with(options_.replacement))
        out += options_.replacement;
      for (const char c : piece) {
        if (c == ' ') {
          out += options_.replacement;
        } else {
          out += c;
        }
      }
    });
    if (words_) words_->split(pieces);
  }

 private:
  const MetaspaceOptions options_;
  const std::optional<Splitter> words_;
};

class PreTokenizerSequence final : public PreTokenizer {
 public:
  explicit PreTokenizerSequence(std::vector<std::unique_ptr<const PreTokenizer>> steps)
      : steps_(std::move(steps)) {}
  void apply(Pieces& pieces) const override {
    for (const auto& step : steps_) step->apply(pieces);
  }

 private:
  const std::vector<std::unique_ptr<const PreTokenizer>> steps_;
};

std::unique_ptr<const PreTokenizer> read_byte_level(const JsonField& field) {
  field.allow_keys({"type", "add_prefix_space", "trim_offsets", "use_regex"});
  std::optional<Splitter> words;
  if (field.flag_or("use_regex", true))
    words.emplace(Pattern::regex(kGpt2Expression, field), SplitBehavior::kIsolated);
  return std::make_unique<ByteLevel>(field.flag_or("add_prefix_space", true), std::move(words));
}

std::unique_ptr<const PreTokenizer> read_split(const JsonField& field) {
  field.allow_keys({"type", "pattern", "behavior", "invert"});
  return std::make_unique<SplitStep>(Splitter(Pattern::read(field.at("pattern")),
                                              read_split_behavior(field.at("behavior")),
                                              field.flag_or("invert", false)));
}

std::unique_ptr<const PreTokenizer> read_digits(const JsonField& field) {
  field.allow_keys({"type", "individual_digits"});
  const auto behavior = field.flag_or("individual_digits", false) ? SplitBehavior::kIsolated
                                                                  : SplitBehavior::kContiguous;
  return std::make_unique<SplitStep>(Splitter(Pattern::regex(kNumericExpression, field), behavior));
}

std::unique_ptr<const PreTokenizer> read_metaspace(const JsonField& field) {
  MetaspaceOptions options = read_metaspace_options(field);
  std::optional<Splitter> words;
  if (options.splits)
    words.emplace(Pattern::literal(options.replacement, field), SplitBehavior::kMergedWithNext);
  return std::make_unique<Metaspace>(std::move(options), std::move(words));
}

}  // namespace

const char* const kGpt2Expression =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

PreTokenizer::~PreTokenizer() = default;

MetaspaceOptions read_metaspace_options(const JsonField& field) {
  field.allow_keys(
      {"type", "replacement", "prepend_scheme", "split", "add_prefix_space", "str_rep"});
  MetaspaceOptions options;
  const JsonField replacement = field.at("replacement");
  options.replacement = replacement.text();
  if (options.replacement.empty() ||
      options.replacement.size() != static_cast<size_t>(utf8_length(options.replacement[0])))
    replacement.fail("is `" + options.replacement + "`, expected one character");
  options.splits = field.flag_or("split", true);
  if (const auto scheme = field.find("prepend_scheme")) {
    const std::string& name = scheme->text();
    if (name != "always" && name != "first" && name != "never")
      scheme->fail("is `" + name + "`, expected always, first or never");
    options.prepend = name == "always"  ? PrependScheme::kAlways
                      : name == "first" ? PrependScheme::kFirst
                                        : PrependScheme::kNever;
  }
  // Files from before prepend_scheme say it with a flag.
  if (!field.flag_or("add_prefix_space", true)) options.prepend = PrependScheme::kNever;
  return options;
}

std::unique_ptr<const PreTokenizer> read_pre_tokenizer(const std::optional<JsonField>& field) {
  if (!field) return nullptr;
  const std::string& type =
      field->type_among({"Sequence", "ByteLevel", "Split", "Digits", "Metaspace"});
  if (type == "ByteLevel") return read_byte_level(*field);
  if (type == "Split") return read_split(*field);
  if (type == "Digits") return read_digits(*field);
  if (type == "Metaspace") return read_metaspace(*field);
  field->allow_keys({"type", "pretokenizers"});
  std::vector<std::unique_ptr<const PreTokenizer>> steps;
  for (const JsonField& step : field->at("pretokenizers").items())
    steps.push_back(read_pre_tokenizer(step));
  return std::make_unique<PreTokenizerSequence>(std::move(steps));
}

}  // namespace qtk::text
