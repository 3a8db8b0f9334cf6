// Numbers as the report prints them: independent of the locale, non-finite values in words.
#pragma once

#include <cstdint>
#include <string>

namespace qtk::report {

/// `digits` decimals; "NaN", "inf" or "-inf" where there is no number; never "-0.00".
std::string fixed(double value, int digits);

/// As `fixed` without trailing zeros: "12.5", "5".
std::string trimmed(double value, int most_digits);

/// `digits` significant digits, integers in full below 1e7, "1.23e8" beyond and below 1e-4.
std::string significant(double value, int digits);

/// The shortest decimal that reads back as the same double.
std::string exact(double value);

/// Thousands separated by commas: "269,060,552".
std::string grouped(int64_t value);

/// A measurement with decimals that fit its error: two digits of the error, five of a value without
/// one.
std::string measured(double value, double standard_error);

/// "+4.2 %", "-0.3 %": the change from `from` to `to`.
std::string relative_change(double from, double to);

/// "0.42 s", "41.3 s", "12 min 3 s", "2 h 5 min".
std::string duration(double seconds);

/// The decimal and the binary unit that suit sizes up to some largest one: MB and MiB below 10 GB,
/// GB and GiB from there.
struct ByteUnit {
  double decimal = 1e6;
  double binary = 1048576;
  const char* decimal_name = "MB";
  const char* binary_name = "MiB";

  static ByteUnit for_sizes_up_to(int64_t largest_bytes);
  /// "76.30 MB"
  std::string in_decimal(int64_t bytes) const;
  /// "72.77 MiB"
  std::string in_binary(int64_t bytes) const;
};

}  // namespace qtk::report
