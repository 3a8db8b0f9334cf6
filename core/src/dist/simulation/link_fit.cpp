#include "dist/simulation/link_fit.hpp"

#include <qtk/runtime/check.hpp>

#include <algorithm>
#include <cmath>

namespace qtk::dist {

LineFit fit_line(std::span<const LineSample> samples) {
  // Weights 1 / seconds^2 turn deviations into relative ones.
  double w = 0, wx = 0, wy = 0, wxx = 0, wxy = 0;
  for (const LineSample& sample : samples) {
    QTK_CHECK(sample.seconds > 0, "a message took ", sample.seconds, " s");
    const double weight = 1 / (sample.seconds * sample.seconds);
    w += weight;
    wx += weight * sample.bytes;
    wy += weight * sample.seconds;
    wxx += weight * sample.bytes * sample.bytes;
    wxy += weight * sample.bytes * sample.seconds;
  }
  const double spread = w * wxx - wx * wx;
  QTK_CHECK(spread > 1e-12 * w * wxx, "a line needs two sizes of messages");
  LineFit fit;
  fit.seconds_per_byte = (w * wxy - wx * wy) / spread;
  fit.seconds = (wy - fit.seconds_per_byte * wx) / w;
  // Noise may put one of them below zero, which no link is: the other one then alone.
  if (fit.seconds < 0) fit = {0, wxy / wxx};
  if (fit.seconds_per_byte < 0) fit = {wy / w, 0};
  for (const LineSample& sample : samples) {
    const double expected = fit.seconds + fit.seconds_per_byte * sample.bytes;
    fit.largest_error =
        std::max(fit.largest_error, std::abs(expected - sample.seconds) / sample.seconds);
  }
  return fit;
}

}  // namespace qtk::dist
