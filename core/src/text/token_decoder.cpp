#include "text/token_decoder.hpp"

#include "text/byte_level.hpp"
#include "text/pattern.hpp"
#include "text/pre_tokenizer.hpp"
#include "text/utf8.hpp"

#include <cctype>
#include <limits>

namespace qtk::text {
namespace {

using Tokens = std::vector<std::string>;

class JoinWithSpaces final : public TokenDecoder {
 public:
  void apply(Tokens& tokens) const override {
    for (size_t i = 1; i < tokens.size(); ++i) tokens[i].insert(0, " ");
  }
};

class Fuse final : public TokenDecoder {
 public:
  void apply(Tokens& tokens) const override {
    std::string text;
    for (const std::string& token : tokens) text += token;
    tokens.assign(1, std::move(text));
  }
};

class ByteLevelDecoder final : public TokenDecoder {
 public:
  void apply(Tokens& tokens) const override {
    std::string bytes;
    for (const std::string& token : tokens) {
      if (!append_bytes_of(token, bytes))
        bytes += token;  // added tokens are not spelled in the byte alphabet
    }
    tokens.assign(1, replace_invalid_utf8(bytes));
  }
};

class ReplaceDecoder final : public TokenDecoder {
 public:
  ReplaceDecoder(Pattern pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}

  void apply(Tokens& tokens) const override {
    for (std::string& token : tokens) token = replace_matches(pattern_, token, content_);
  }

 private:
  const Pattern pattern_;
  const std::string content_;
};

std::optional<char> byte_of(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
  int value = 0;
  for (const char c : token.substr(3, 2)) {
    const size_t digit =
        std::string_view("0123456789abcdef").find(static_cast<char>(std::tolower(c)));
    if (digit == std::string_view::npos) return std::nullopt;
    value = value * 16 + static_cast<int>(digit);
  }
  return static_cast<char>(value);
}

/// Runs of byte tokens become the text they spell; each byte of a run that spells none becomes
/// U+FFFD.
class ByteFallback final : public TokenDecoder {
 public:
  void apply(Tokens& tokens) const override {
    Tokens out;
    std::string bytes;
    const auto flush = [&] {
      if (bytes.empty()) return;
      if (valid_utf8_prefix(bytes) == bytes.size()) {
        out.push_back(bytes);
      } else {
        out.insert(out.end(), bytes.size(), "\xef\xbf\xbd");
      }
      bytes.clear();
    };
    for (std::string& token : tokens) {
      if (const auto byte = byte_of(token)) {
        bytes += *byte;
        continue;
      }
      flush();
      out.push_back(std::move(token));
    }
    flush();
    tokens = std::move(out);
  }
};

/// Takes up to `start` and `stop` copies of a character from the ends of each token.
class Strip final : public TokenDecoder {
 public:
  Strip(std::string content, int64_t start, int64_t stop)
      : content_(std::move(content)), start_(start), stop_(stop) {}

  void apply(Tokens& tokens) const override {
    for (std::string& token : tokens) {
      std::string_view rest = token;
      for (int64_t i = 0; i < start_ && rest.starts_with(content_); ++i)
        rest.remove_prefix(content_.size());
      for (int64_t i = 0; i < stop_ && rest.ends_with(content_); ++i)
        rest.remove_suffix(content_.size());
      token = std::string(rest);
    }
  }

 private:
  const std::string content_;
  const int64_t start_, stop_;
};

class MetaspaceDecoder final : public TokenDecoder {
 public:
  explicit MetaspaceDecoder(MetaspaceOptions options) : options_(std::move(options)) {}

  void apply(Tokens& tokens) const override {
    const std::string& mark = options_.replacement;
    for (size_t i = 0; i < tokens.size(); ++i) {
      const bool is_dropped = i == 0 && options_.prepend != PrependScheme::kNever;
      for (size_t at = tokens[i].find(mark); at != std::string::npos; at = tokens[i].find(mark, at))
        tokens[i].replace(at, mark.size(), is_dropped ? "" : " ");
    }
  }

 private:
  const MetaspaceOptions options_;
};

class DecoderSequence final : public TokenDecoder {
 public:
  explicit DecoderSequence(std::vector<std::unique_ptr<const TokenDecoder>> steps)
      : steps_(std::move(steps)) {}
  void apply(Tokens& tokens) const override {
    for (const auto& step : steps_) step->apply(tokens);
  }

 private:
  const std::vector<std::unique_ptr<const TokenDecoder>> steps_;
};

std::unique_ptr<const TokenDecoder> read_strip(const JsonField& field) {
  field.allow_keys({"type", "content", "start", "stop"});
  const JsonField content = field.at("content");
  if (content.text().empty()) content.fail("is empty, expected one character");
  const auto count = [&](const char* key) {
    return field.at(key).integer(0, std::numeric_limits<int32_t>::max());
  };
  return std::make_unique<Strip>(content.text(), count("start"), count("stop"));
}

std::unique_ptr<const TokenDecoder> read_sequence(const JsonField& field) {
  field.allow_keys({"type", "decoders"});
  std::vector<std::unique_ptr<const TokenDecoder>> steps;
  for (const JsonField& step : field.at("decoders").items())
    steps.push_back(read_token_decoder(step));
  return std::make_unique<DecoderSequence>(std::move(steps));
}

}  // namespace

TokenDecoder::~TokenDecoder() = default;

std::unique_ptr<const TokenDecoder> read_token_decoder(const std::optional<JsonField>& field) {
  if (!field) return std::make_unique<JoinWithSpaces>();
  const std::string& type = field->type_among(
      {"Sequence", "ByteLevel", "Replace", "ByteFallback", "Fuse", "Strip", "Metaspace"});
  if (type == "Sequence") return read_sequence(*field);
  if (type == "Strip") return read_strip(*field);
  if (type == "Metaspace")
    return std::make_unique<MetaspaceDecoder>(read_metaspace_options(*field));
  if (type == "Replace") {
    field->allow_keys({"type", "pattern", "content"});
    return std::make_unique<ReplaceDecoder>(Pattern::read(field->at("pattern")),
                                            field->at("content").text());
  }
  if (type == "ByteLevel") {
    field->allow_keys({"type", "add_prefix_space", "trim_offsets", "use_regex"});
    return std::make_unique<ByteLevelDecoder>();
  }
  field->allow_keys({"type"});
  if (type == "Fuse") return std::make_unique<Fuse>();
  return std::make_unique<ByteFallback>();
}

}  // namespace qtk::text
