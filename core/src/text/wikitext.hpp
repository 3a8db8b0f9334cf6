// WikiText (Merity et al. 2016) as EleutherAI's lm-evaluation-harness treats it for its task
// `wikitext`: whole articles, detokenized for the model, with words counted in the tokenized
// original.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace qtk::text {

/// Splits at headings of the first level, " = Title = " alone on a line; each article starts with
/// its heading. What stands before the first heading is an article of its own unless it is blank.
///
/// `text` is the distributed file (a blank line holds one space), or the rows of Hugging Face's
/// data set joined by blank lines, as most perplexity scripts join them; the latter is put back
/// into the form of the former first.
std::vector<std::string> wikitext_pages(std::string_view text);

/// Undoes the spaces that WikiText put around punctuation. Some rules also hit what they should not
/// (the harness' own rules, kept because figures are compared with its).
std::string detokenize_wikitext(std::string page);

/// As many as `re.split(r"\s+", page)` of Python has parts: white space at either end adds an empty
/// one.
int64_t count_words(std::string_view page);

}  // namespace qtk::text
