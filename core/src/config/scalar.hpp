// Scalars -> bool, integer, real, text. Strict, because YAML readers disagree about what `010`,
// `1e3`, `yes` or `"4"` are: such a spelling is refused with the one that nobody misreads.
#pragma once

#include "config/node.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace qtk::config {

/// A value, or what is wrong.
template <class T>
struct Reading {
  std::optional<T> value;
  std::string problem = {};  // goes on after the option's name: "must be an int, found `abc`"
  std::string remedy = {};
};

/// Whether a number may be a duration: 90, 90s, 10min, 1.5h.
enum class NumberUnit { kOther, kSeconds };

/// Only `true` and `false`.
Reading<bool> read_bool(const Node& node);
/// Decimal digits with an optional sign and suffix: K M G T are powers of 1000, Ki Mi Gi Ti of
/// 1024.
Reading<int64_t> read_int(const Node& node, NumberUnit unit = NumberUnit::kOther);
/// As integers, with fraction and exponent; finite.
Reading<double> read_real(const Node& node, NumberUnit unit = NumberUnit::kOther);
/// Anything but plain words that YAML readers take for a bool.
Reading<std::string> read_text(const Node& node);

/// true, false, yes, no, on, off in any case.
bool is_bool_word(std::string_view word);
/// Nothing, ~ and null in any case.
bool is_null_word(std::string_view word);
/// True if some YAML reader would not take the plain word for a text: numbers, bools, null and the
/// like.
bool looks_typed(std::string_view word);

/// What stands there, for a message: "a list", "`abc`", "the quoted text \"4\"".
std::string found(const Node& node);

}  // namespace qtk::config
