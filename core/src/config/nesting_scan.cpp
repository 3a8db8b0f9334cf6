#include "config/nesting_scan.hpp"

#include <algorithm>
#include <string>

namespace qtk::config {

std::optional<YamlHazard> NestingScan::run() {
  while (at_ < text_.size() && !hazard_) scan_line();
  return hazard_;
}

void NestingScan::scan_line() {
  line_start_ = at_;
  if (quote_ == Quote::kNone && !enter_line()) skip_rest_of_line();
  while (at_ < text_.size() && text_[at_] != '\n' && !hazard_) scan_character();
  ++at_;
}

bool NestingScan::enter_line() {
  const size_t content = text_.find_first_not_of(" \t", at_);
  if (content == text_.npos || text_[content] == '\n') return false;
  const size_t first_not_space = text_.find_first_not_of(' ', at_);
  if (block_indent_ && static_cast<int64_t>(first_not_space - at_) > *block_indent_) return false;
  block_indent_.reset();
  if (text_[first_not_space] == '\t' && text_[content] != '#')
    hazard_ = {"a tab indents this line, but YAML is indented with spaces", first_not_space,
               "replace the tab by spaces"};
  at_ = content;
  indent_ = column();
  after_dash_ = false;
  dash_depth_ = 0;
  node_may_start_ = true;
  if (!in_flow() && at_ == line_start_ && text_.substr(at_, 3) == "---" && is_blank(3)) at_ += 3;
  return true;
}

void NestingScan::scan_character() {
  const char c = text_[at_];
  if (quote_ != Quote::kNone) {
    scan_quoted(c);
  } else if (c == '#' && (at_ == line_start_ || text_[at_ - 1] == ' ' || text_[at_ - 1] == '\t')) {
    skip_rest_of_line();
  } else if (c == ' ' || c == '\t') {
    ++at_;
  } else if (!(node_may_start_ && scan_node_start(c)) && !scan_bracket(c)) {
    scan_separator(c);
  }
}

void NestingScan::scan_quoted(char c) {
  const bool is_double = quote_ == Quote::kDouble;
  const bool is_escape = is_double ? c == '\\' && peek(1) != '\n' : c == '\'' && peek(1) == '\'';
  if (is_escape) {
    at_ += 2;
    return;
  }
  if (c == (is_double ? '"' : '\'')) {
    quote_ = Quote::kNone;
    after_closing_ = true;
  }
  ++at_;
}

bool NestingScan::scan_node_start(char c) {
  if (!in_flow() && scan_block_indicator(c)) return true;
  const bool is_property = c == '&' || c == '!';
  if (after_dash_ && !is_property) {
    indent_ = column();
    after_dash_ = false;
  }
  if (is_property || c == '*') {
    while (!is_blank(0) && !(in_flow() && is_flow_indicator(0))) ++at_;
    node_may_start_ = is_property;
    after_closing_ = !is_property;
    return true;
  }
  if (c != '"' && c != '\'') return false;
  quote_ = c == '"' ? Quote::kDouble : Quote::kSingle;
  node_may_start_ = false;
  ++at_;
  return true;
}

bool NestingScan::scan_block_indicator(char c) {
  if ((c == '-' || c == '?') && is_blank(1)) {
    indent_ = column();
    after_dash_ = true;
    count(1);
    nest(dash_depth_);
    ++at_;
    return true;
  }
  if (c != '|' && c != '>') return false;
  block_indent_ = indent_;
  skip_rest_of_line();
  return true;
}

bool NestingScan::scan_bracket(char c) {
  if ((c == '[' || c == '{') && (in_flow() || node_may_start_ || after_closing_)) {
    nest(flow_depth_);
    node_may_start_ = true;
    after_closing_ = false;
  } else if ((c == ']' || c == '}') && in_flow()) {
    --flow_depth_;
    node_may_start_ = false;
    after_closing_ = true;
  } else {
    return false;
  }
  ++at_;
  return true;
}

void NestingScan::scan_separator(char c) {
  const bool ends_key =
      c == ':' && (is_blank(1) || (in_flow() && (after_closing_ || is_flow_indicator(1))));
  node_may_start_ = ends_key || (c == ',' && in_flow());
  after_closing_ = false;
  // Never more than there are: a pair in block style has a key and a value, in flow style a comma
  // stands for one of them.
  if (node_may_start_) count(ends_key && !in_flow() ? 2 : 1);
  ++at_;
}

bool NestingScan::is_flow_indicator(size_t ahead) const {
  const char c = peek(ahead);
  return c == ',' || c == '[' || c == ']' || c == '{' || c == '}';
}

void NestingScan::skip_rest_of_line() { at_ = std::min(text_.find('\n', at_), text_.size()); }

void NestingScan::count(int64_t nodes) {
  nodes_ += nodes;
  if (nodes_ > YamlLimits::kNodes) hazard_ = too_many_nodes(at_);
}

void NestingScan::nest(int& depth) {
  if (++depth > YamlLimits::kDepth) hazard_ = too_deep(at_);
}

}  // namespace qtk::config
