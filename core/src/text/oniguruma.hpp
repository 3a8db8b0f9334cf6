// Hugging Face's tokenizers run their expressions with Oniguruma. The constructs they use mean the
// same to PCRE2, apart from a few escapes.
#pragma once

#include "text/json_field.hpp"

#include <string>
#include <string_view>

namespace qtk::text {

/// The same expression for PCRE2 with UTF, UCP and MULTILINE (Oniguruma's `^` and `$` always work
/// on lines):
/// `\s` becomes Unicode's White_Space (PCRE2 adds U+180E), `\d` the decimal digits, `\w`
/// Oniguruma's word characters,
/// `\p{Han}` the script without its extensions.
/// @throws DataError naming `where` for escapes, nested or intersected classes and `{n,m}+`, which
/// differ
std::string pcre2_from_oniguruma(std::string_view expression, const JsonField& where);

}  // namespace qtk::text
