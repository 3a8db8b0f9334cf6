// How a struct of options describes itself:
//
//   struct RtnOptions {
//     int bits = 4;
//     static void describe(qtk::OptionSet<RtnOptions>& o) {
//       o.field("bits", &RtnOptions::bits).range(2, 8).unit("bit").doc("Bits per weight.");
//     }
//     void validate() const;  // optional: rules over several fields; throws ConfigError
//   };
//
// Defaults are read from a default-constructed struct, so help text, schema and behaviour cannot
// disagree.
#pragma once

#include <qtk/options/option_value.hpp>

#include <initializer_list>
#include <limits>
#include <utility>

namespace qtk {

/// Adds attributes to one option. Valid within the statement that made it.
class OptionField {
 public:
  explicit OptionField(OptionSpec& spec) : spec_(spec) {}

  OptionField& doc(std::string sentence) { return spec_.doc = std::move(sentence), *this; }
  OptionField& unit(std::string name) { return spec_.unit = std::move(name), *this; }
  OptionField& range(double lower, double upper) {
    return spec_.lower = lower, spec_.upper = upper, *this;
  }
  OptionField& at_least(double lower) { return spec_.lower = lower, *this; }
  template <class T>
  OptionField& one_of(std::initializer_list<T> values) {
    for (const T& value : values) spec_.choices.push_back(choice(value));
    return *this;
  }
  OptionField& since(std::string version) { return spec_.since = std::move(version), *this; }
  OptionField& deprecated(std::string instead) {
    return spec_.deprecated = std::move(instead), *this;
  }
  OptionField& paper(std::string where) { return spec_.paper = std::move(where), *this; }
  OptionField& original(std::string flag) { return spec_.original_flag = std::move(flag), *this; }
  OptionField& searchable(Searchable how = Searchable::kChoice) {
    return spec_.searchable = how, *this;
  }

 private:
  template <class T>
  static OptionValue choice(const T& value) {
    if constexpr (std::is_integral_v<T>)
      return static_cast<int64_t>(value);
    else if constexpr (std::is_floating_point_v<T>)
      return static_cast<double>(value);
    else
      return std::string(value);
  }

  OptionSpec& spec_;
};

namespace detail {

/// The OptionValue alternative that holds a member of type M.
template <class M>
struct OptionMember {
  static_assert(std::is_arithmetic_v<M> || std::is_same_v<M, std::string>,
                "an option is a bool, an integer, a floating number, a std::string, or a "
                "std::vector of int64_t, "
                "double or std::string");
  using Stored = std::conditional_t<
      std::is_same_v<M, bool>, bool,
      std::conditional_t<std::is_integral_v<M>, int64_t,
                         std::conditional_t<std::is_floating_point_v<M>, double, std::string>>>;
};
template <class E>
struct OptionMember<std::vector<E>> {
  using Stored = std::vector<E>;
};

}  // namespace detail

template <class Options>
class OptionSet {
 public:
  explicit OptionSet(OptionTable& table) : table_(table) {}

  template <class M>
  OptionField field(std::string name, M Options::*member) {
    using Stored = typename detail::OptionMember<M>::Stored;
    OptionSpec& spec = table_.specs.emplace_back();
    spec.name = std::move(name);
    spec.default_value = Stored(defaults_.*member);
    spec.type = static_cast<OptionType>(spec.default_value.index());
    limit_to_member<M>(spec);
    spec.read = [member](const void* options) -> OptionValue {
      return Stored(static_cast<const Options*>(options)->*member);
    };
    spec.write = [member](void* options, const OptionValue& value) {
      static_cast<Options*>(options)->*member = static_cast<M>(std::get<Stored>(value));
    };
    return OptionField(spec);
  }

 private:
  /// A value that the member cannot hold must be refused, not cut off.
  template <class M>
  static void limit_to_member(OptionSpec& spec) {
    if constexpr (std::is_arithmetic_v<M> && !std::is_same_v<M, bool>) {
      if (std::is_unsigned_v<M>) spec.lower = 0;
      if (sizeof(M) < sizeof(int64_t)) {
        spec.lower = static_cast<double>(std::numeric_limits<M>::lowest());
        spec.upper = static_cast<double>(std::numeric_limits<M>::max());
      }
    }
  }

  OptionTable& table_;
  const Options defaults_{};
};

/// The table of a struct of options.
template <class Options>
OptionTable option_table() {
  OptionTable table;
  OptionSet<Options> set(table);
  Options::describe(set);
  if constexpr (requires(const Options& o) { o.validate(); })
    table.validate = [](const void* options) { static_cast<const Options*>(options)->validate(); };
  return table;
}

/// A struct with `values` over its defaults. Values must have been checked against the table.
/// @throws ConfigError from Options::validate()
template <class Options>
Options make_options(const OptionTable& table, const OptionValues& values) {
  Options options{};
  for (const OptionSpec& spec : table.specs)
    if (auto given = values.find(spec.name); given != values.end())
      spec.write(&options, given->second);
  if (table.validate) table.validate(&options);
  return options;
}

/// A struct without options.
struct NoOptions {
  static void describe(OptionSet<NoOptions>&) {}
};

}  // namespace qtk
