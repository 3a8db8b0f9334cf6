// One quantity of every model against its size, as a figure.
#pragma once

#include "report/html.hpp"

#include <optional>
#include <string>
#include <vector>

namespace qtk::report {

/// One model in the chart.
struct Mark {
  size_t index = 0;  // in RunReport::models; gives colour and shape
  std::string name;
  double size = 0;   // in the chart's unit
  double value = 0;  // lower is better
  double standard_error = 0;
};

struct TradeoffChart {
  std::string id;        // unique in the page
  std::string title;     // "Perplexity against size"
  std::string quantity;  // "perplexity", on the axis
  std::string protocol;
  std::string unit;            // of sizes: "MB"
  std::optional<double> base;  // the base model's value: draws the line of reference and the band
  double tolerance = 0;        // height of that band, relative to the base model's value
  std::vector<Mark> marks;     // finite values, sizes above 0
  std::vector<std::string> left_out;  // models that cannot be drawn and why: "w2 (NaN)"
};

/// The marks that no other beats in both size and value, by ascending size.
std::vector<Mark> pareto_front(std::vector<Mark> marks);

/// <figure> with the drawing, or with the caption alone if nothing can be drawn.
Markup tradeoff_figure(const TradeoffChart& chart);

}  // namespace qtk::report
