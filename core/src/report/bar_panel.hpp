// The measures of a panel with one bar per block, which the sections of errors and of sensitivities
// draw for each role.
#pragma once

namespace qtk::report {

constexpr double kPanelWidth = 232, kPanelHeight = 122;
constexpr double kWidestSlot = 30, kWidestBar = 22;
constexpr double kRoleSize = 13.5, kTickSize = 12;  // of text, as in the style sheet

}  // namespace qtk::report
