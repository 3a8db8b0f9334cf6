// Quantities over the steps of training, as a figure.
#pragma once

#include "report/html.hpp"

#include <string>
#include <utility>
#include <vector>

namespace qtk::report {

using Curve = std::vector<std::pair<double, double>>;  // step, value; steps ascending

enum class CurveScale {
  kAuto,      // logarithmic where the values are positive and span a factor of three, else linear
  kLinear,    // around the values
  kFromZero,  // linear from zero; below it where values are
};

struct CurveLine {
  std::string name;   // in the legend
  size_t colour = 1;  // series_class()
  size_t dash = 0;    // 0 ... 3
  Curve points;
};

struct CurveChart {
  std::string id;
  std::string title;     // "Loss"
  std::string quantity;  // with its unit: "nat/token"
  CurveScale scale = CurveScale::kAuto;
  std::vector<CurveLine> lines;
};

/// At most `most` points: where there are more, the smallest and the largest value of equal parts,
/// so that no spike is lost. Points that are not finite stay.
Curve thinned(const Curve& points, size_t most);

/// A line for each run of finite values, a dot for a lone one, a legend if there are several lines.
Markup curve_figure(const CurveChart& chart);

}  // namespace qtk::report
