#include "format/strict_json.hpp"

#include <qtk/runtime/error.hpp>

#include <nlohmann/json.hpp>

#include <set>
#include <vector>

namespace qtk::format {
namespace {

constexpr size_t kLongestBareToken = 64;  // numbers, true, false, null

[[noreturn]] void refuse(const std::string& where, const std::string& what) {
  throw DataError(where + " " + what, "check that this is the right file, or fetch it again");
}

/// Counts what a parser would have to hold, without holding it.
class LimitScanner {
 public:
  LimitScanner(const std::string& where, const JsonLimits& limits)
      : where_(where), limits_(limits) {}

  void scan(std::string_view text) {
    for (const char c : text)
      if (in_string_)
        in_string(c);
      else
        outside(c);
  }

 private:
  void in_string(char c) {
    if (++length_ > limits_.string_bytes)
      refuse(where_, "has a string of more than " + std::to_string(limits_.string_bytes) +
                         " bytes, which is more than any real file needs");
    if (is_escaped_)
      is_escaped_ = false;
    else if (c == '\\')
      is_escaped_ = true;
    else if (c == '"')
      in_string_ = false;
  }

  void outside(char c) {
    switch (c) {
      case '"':
        in_string_ = true;
        length_ = 0;
        return;
      case '{':
      case '[':
        if (++depth_ > limits_.depth)
          refuse(where_, "is nested more than " + std::to_string(limits_.depth) + " levels deep");
        break;
      case '}':
      case ']':
        --depth_;
        break;
      case ',':
      case ':':
        if (++separators_ > limits_.separators)
          refuse(where_,
                 "has more than " + std::to_string(limits_.separators) + " keys and values");
        break;
      case ' ':
      case '\t':
      case '\n':
      case '\r':
        break;
      case '\0':
        refuse(where_, "has a NUL byte, at which a parser would stop");
      default:
        if (++length_ > kLongestBareToken)
          refuse(where_, "has a number or word of more than " + std::to_string(kLongestBareToken) +
                             " characters");
        return;
    }
    length_ = 0;
  }

  const std::string& where_;
  const JsonLimits& limits_;
  bool in_string_ = false;
  bool is_escaped_ = false;
  int depth_ = 0;
  size_t length_ = 0;  // of the current string or bare token
  size_t separators_ = 0;
};

}  // namespace

void check_json_limits(std::string_view text, const std::string& where, const JsonLimits& limits) {
  LimitScanner(where, limits).scan(text);
}

nlohmann::json parse_strict_json(std::string_view text, const std::string& where,
                                 const JsonLimits& limits) {
  using nlohmann::json;
  check_json_limits(text, where, limits);
  std::vector<std::set<std::string>> open_objects;
  const auto refuse_repeated_keys = [&](int, json::parse_event_t event, json& parsed) {
    if (event == json::parse_event_t::object_start) open_objects.emplace_back();
    if (event == json::parse_event_t::object_end) open_objects.pop_back();
    if (event == json::parse_event_t::key) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!open_objects.back().insert(key).second)
        refuse(where, "has the key '" + key + "' twice in one object");
    }
    return true;
  };
  try {
    return json::parse(text, refuse_repeated_keys);
  } catch (const json::parse_error& error) {
    refuse(where, "is not valid JSON: " + json_fault(error.what()));
  }
}

std::string json_fault(const char* what) {
  constexpr size_t kLongest = 240;
  std::string text(what);
  if (const size_t end = text.find("] "); text.starts_with("[") && end != std::string::npos)
    text.erase(0, end + 2);
  if (text.size() > kLongest) text = text.substr(0, kLongest) + "...";
  return text;
}

}  // namespace qtk::format
