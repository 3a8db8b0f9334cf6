// The page's style sheet: light and dark schemes, narrow screens, paper.
#pragma once

#include "report/html.hpp"

namespace qtk::report {

/// The <style> element. The six series colours are told apart under the common forms of colour
/// blindness (after Okabe and Ito), and every series has a marker of its own shape besides.
Markup stylesheet();

}  // namespace qtk::report
