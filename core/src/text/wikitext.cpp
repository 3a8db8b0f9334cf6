#include "text/wikitext.hpp"

#include "text/utf8.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace qtk::text {
namespace {

/// Python's `\s` and str.strip(): Unicode's White_Space and the four separators of ASCII.
bool is_python_space(char32_t c) { return is_white_space(c) || (c >= 0x1c && c <= 0x1f); }

std::string_view stripped(std::string_view text) {
  while (!text.empty() && is_python_space(decode_utf8(text.data())))
    text.remove_prefix(utf8_length(text[0]));
  while (!text.empty()) {
    size_t last = text.size() - 1;
    while ((text[last] & 0xc0) == 0x80) --last;
    if (!is_python_space(decode_utf8(text.data() + last))) break;
    text.remove_suffix(text.size() - last);
  }
  return text;
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  std::string out;
  size_t copied = 0;
  for (size_t at = text.find(from); at != text.npos; at = text.find(from, copied)) {
    out.append(text, copied, at - copied) += to;
    copied = at + from.size();
  }
  if (copied == 0) return;
  text = out.append(text, copied);
}

/// Takes the white space away that follows `open` and precedes the next `close`; the pair may be
/// the same character.
void tighten(std::string& text, char open, char close) {
  std::string out;
  size_t copied = 0;
  for (size_t at = text.find(open); at != text.npos; at = text.find(open, copied)) {
    const size_t end = text.find(close, at + 1);
    if (end == text.npos) break;
    out.append(text, copied, at - copied) += open;
    out += stripped(std::string_view(text).substr(at + 1, end - at - 1));
    out += close;
    copied = end + 1;
  }
  text = out.append(text, copied);
}

/// The harness replaces "/' 5/" by the text of its own pattern, "/'[0-9]/".
void replace_slashed_digit(std::string& text) {
  constexpr std::string_view kStart = "/' ";
  for (size_t at = text.find(kStart); at != text.npos; at = text.find(kStart, at + 1)) {
    if (at + 5 <= text.size() && text[at + 3] >= '0' && text[at + 3] <= '9' && text[at + 4] == '/')
      text.replace(at, 5, "/'[0-9]/");
  }
}

bool is_heading(std::string_view line) {
  std::string shortened(line);
  replace_all(shortened, "= = =", "===");
  replace_all(shortened, "= =", "==");
  const std::string_view heading = stripped(shortened);
  return heading.starts_with("= ") && heading.ends_with(" =");
}

/// The distributed file from the rows of the data set joined by "\n\n": a row is empty, which
/// stands for a blank line, or ends in a line feed of its own.
std::string without_joints(std::string_view text) {
  constexpr std::string_view kJoint = "\n\n";
  std::string lines;
  while (true) {
    if (text.empty() || text.starts_with(kJoint)) {
      lines += " \n";
    } else {
      const size_t row = std::min(text.find('\n'), text.size() - 1) + 1;
      lines += text.substr(0, row);
      text.remove_prefix(row);
    }
    if (text.empty()) return lines;
    if (text.starts_with(kJoint)) text.remove_prefix(kJoint.size());
  }
}

}  // namespace

std::vector<std::string> wikitext_pages(std::string_view text) {
  std::string joined;
  if (text.find("\n\n\n") != text.npos) {
    joined = without_joints(text);
    text = joined;
  }
  std::vector<std::string> pages;
  std::string page;
  bool has_lines = false;
  const auto finish_page = [&] {
    if (!stripped(page).empty()) pages.push_back(page);
    page.clear();
    has_lines = false;
  };
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    if (is_heading(line)) finish_page();
    if (has_lines) page += '\n';
    page += line;
    has_lines = true;
    begin = end + 1;
  }
  finish_page();
  return pages;
}

std::string detokenize_wikitext(std::string page) {
  using Rule = std::pair<std::string_view, std::string_view>;
  constexpr std::array<Rule, 9> kPunctuation = {{{" @-@ ", "-"},
                                                 {" @,@ ", ","},
                                                 {" @.@ ", "."},
                                                 {" : ", ": "},
                                                 {" ; ", "; "},
                                                 {" . ", ". "},
                                                 {" ! ", "! "},
                                                 {" ? ", "? "},
                                                 {" , ", ", "}}};
  constexpr std::array<Rule, 8> kRest = {{{"= = = =", "===="},
                                          {"= = =", "==="},
                                          {"= =", "=="},
                                          {" \xc2\xb0 ", "\xc2\xb0"},
                                          {" \n", "\n"},
                                          {"\n ", "\n"},
                                          {" N ", " 1 "},
                                          {" 's", "'s"}}};
  replace_all(page, "s '", "s'");
  replace_slashed_digit(page);
  for (const auto& [from, to] : kPunctuation) replace_all(page, from, to);
  tighten(page, '(', ')');
  tighten(page, '[', ']');
  tighten(page, '{', '}');
  tighten(page, '"', '"');
  tighten(page, '\'', '\'');
  for (const auto& [from, to] : kRest) replace_all(page, from, to);
  return page;
}

int64_t count_words(std::string_view page) {
  int64_t words = 1;
  bool in_space = false;
  for (size_t i = 0; i < page.size(); i += utf8_length(page[i])) {
    const bool is_space = is_python_space(decode_utf8(page.data() + i));
    words += is_space && !in_space;
    in_space = is_space;
  }
  return words;
}

}  // namespace qtk::text
