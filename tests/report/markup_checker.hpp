// Checks that a page is well-formed: every tag closed in order, attributes quoted and named once,
// known entities only.
#pragma once

#include <cctype>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace qtk::report {

class MarkupChecker {
 public:
  /// Empty if `page` is well-formed, else the first fault and the text around it.
  static std::string fault(std::string_view page) { return MarkupChecker(page).run(); }

 private:
  explicit MarkupChecker(std::string_view page) : page_(page) {}

  std::string run() {
    while (at_ < page_.size() && fault_.empty()) {
      if (page_[at_] != '<') {
        content();
      } else if (page_.substr(at_).starts_with("<!DOCTYPE html>")) {
        at_ += 15;
      } else if (page_.substr(at_).starts_with("</")) {
        closing_tag();
      } else {
        opening_tag();
      }
    }
    if (fault_.empty() && !open_.empty()) fail("<" + open_.back() + "> is never closed");
    return fault_;
  }

  void fail(const std::string& what) {
    const size_t start = at_ < 40 ? 0 : at_ - 40;
    if (fault_.empty()) fault_ = what + " near: " + std::string(page_.substr(start, 80));
  }

  std::string name() {
    const size_t start = at_;
    while (at_ < page_.size() &&
           (std::isalnum(static_cast<unsigned char>(page_[at_])) || page_[at_] == '-'))
      ++at_;
    if (at_ == start) fail("a name is missing");
    return std::string(page_.substr(start, at_ - start));
  }

  void entity() {
    for (const std::string_view known : {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"}) {
      if (page_.substr(at_).starts_with(known)) {
        at_ += known.size();
        return;
      }
    }
    fail("a bare ampersand");
  }

  void content() {
    while (at_ < page_.size() && page_[at_] != '<' && fault_.empty()) {
      if (page_[at_] == '>' && (open_.empty() || open_.back() != "style")) fail("a bare >");
      if (page_[at_] == '&') {
        entity();
      } else {
        ++at_;
      }
    }
  }

  void closing_tag() {
    at_ += 2;
    const auto closed = name();
    if (open_.empty() || open_.back() != closed) return fail("</" + closed + "> closes nothing");
    open_.pop_back();
    if (page_.substr(at_, 1) != ">") fail("a closing tag has more than a name");
    ++at_;
  }

  void attribute(std::set<std::string>& seen) {
    ++at_;  // the space
    const auto key = name();
    if (!seen.insert(key).second) fail("attribute " + key + " twice");
    if (page_.substr(at_, 2) != "=\"") return fail("attribute " + key + " is not quoted");
    at_ += 2;
    const size_t start = at_;
    while (at_ < page_.size() && page_[at_] != '"' && fault_.empty()) {
      if (page_[at_] == '<') fail("a bare < in attribute " + key);
      if (page_[at_] == '&') {
        entity();
      } else {
        ++at_;
      }
    }
    if (key == "id" && !ids_.emplace(page_.substr(start, at_ - start)).second) fail("an id twice");
    ++at_;
  }

  void opening_tag() {
    ++at_;
    const auto opened = name();
    std::set<std::string> seen;
    while (fault_.empty() && page_.substr(at_, 1) == " ") attribute(seen);
    if (!fault_.empty()) return;
    if (page_.substr(at_, 2) == "/>") {
      at_ += 2;
    } else if (page_.substr(at_, 1) == ">") {
      at_ += 1;
      open_.push_back(opened);
    } else {
      fail("<" + opened + "> does not end");
    }
  }

  std::string_view page_;
  size_t at_ = 0;
  std::vector<std::string> open_;
  std::set<std::string> ids_;
  std::string fault_;
};

}  // namespace qtk::report
