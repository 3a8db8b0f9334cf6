// What the summary table says of a model, column by column.
#pragma once

#include "report/html.hpp"
#include "report/run_report.hpp"

#include <functional>
#include <string>
#include <vector>

namespace qtk::report {

struct Column {
  std::string group;  // neighbours of one group share a heading above theirs; may be empty
  std::string title;
  std::string label;  // names the value where rows are laid out as cards, away from the headings
  std::function<Markup(const ModelResult&)> cell;
};
using Columns = std::vector<Column>;

/// Columns for what was measured of some model; the cells of models without it say so. The columns
/// refer to `report`, which must hold a model.
Columns summary_columns(const RunReport& report);

}  // namespace qtk::report
