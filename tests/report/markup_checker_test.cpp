#include "report/markup_checker.hpp"

#include <gtest/gtest.h>

namespace qtk::report {
namespace {

// The other tests lean on the checker, so it must find faults.
TEST(MarkupChecker, AcceptsWellFormedMarkup) {
  EXPECT_EQ(MarkupChecker::fault("<!DOCTYPE html>\n<p class=\"a\">x &lt; y<br/></p>"), "");
}

TEST(MarkupChecker, NamesTheFault) {
  const std::pair<const char*, const char*> cases[] = {
      {"<p><b>x</p></b>", "</p> closes nothing"},
      {"<p>x", "<p> is never closed"},
      {"x</p>", "</p> closes nothing"},
      {"<p>a & b</p>", "a bare ampersand"},
      {"<p>a > b</p>", "a bare >"},
      {"<p>&nbsp;</p>", "a bare ampersand"},
      {"<p class=a>x</p>", "is not quoted"},
      {"<p a=\"1\" a=\"2\">x</p>", "attribute a twice"},
      {"<p a=\"<\">x</p>", "a bare <"},
      {"<a id=\"x\"/><a id=\"x\"/>", "an id twice"},
      {"<p>a < b</p>", "a name is missing"},
  };
  for (const auto& [markup, fault] : cases) {
    EXPECT_NE(MarkupChecker::fault(markup).find(fault), std::string::npos)
        << markup << ": " << MarkupChecker::fault(markup);
  }
}

}  // namespace
}  // namespace qtk::report
