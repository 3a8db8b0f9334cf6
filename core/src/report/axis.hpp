// Axes of charts: a range, round ticks inside it, and where a value lies.
#pragma once

#include <string>
#include <vector>

namespace qtk::report {

/// How an axis around points is laid out.
struct AxisLayout {
  int num_ticks = 7;  // at most about
  double air = 0.08;  // share of the range left free beyond each outermost point
};

class Axis {
 public:
  /// For bars: from exactly zero to the first tick at or above `largest`. Without a positive finite
  /// value: 0 ... 1.
  static Axis from_zero(double largest, int num_ticks);

  /// For points: around all finite values with some air. Logarithmic if they are positive and the
  /// largest is at least three times the smallest, else linear; the range then needs not hold zero,
  /// which the caller must say.
  static Axis around(const std::vector<double>& values, AxisLayout layout);

  /// From `low` to `high` exactly, linear; a little of it where the two are equal.
  static Axis linear(double low, double high, int num_ticks);

  bool is_log() const { return is_log_; }
  double low() const { return low_; }
  double high() const { return high_; }
  /// Ascending, within [low, high].
  const std::vector<double>& ticks() const { return ticks_; }

  /// 0 at `low`, 1 at `high`.
  double fraction(double value) const;
  /// With just the digits that tell the ticks apart.
  std::string label(double tick) const;

 private:
  void set_linear(double low, double high, int num_ticks);
  void set_log(double low, double high, int num_ticks);

  double low_ = 0, high_ = 1;
  int decimals_ = 0;  // of linear labels
  int digits_ = 1;    // significant ones, where decimals would be too many
  bool is_log_ = false;
  std::vector<double> ticks_;
};

/// Round steps (1, 2, 5 times a power of ten, at least 1) for counts such as block numbers: at most
/// `num_ticks` of them in `span`.
int integer_step(int span, int num_ticks);

}  // namespace qtk::report
