// Command lines of the verbs: flags with help, unknown ones refused with the nearest known name.
#pragma once

#include <boost/program_options.hpp>

#include <span>
#include <string>
#include <vector>

namespace qtk::app {

/// Thrown by CommandLine::parse() after it printed the help; main() ends with 0.
struct HelpShown {};

/// The flags of one verb. Declare them with flags(), positional ones with positional(), then
/// parse().
class CommandLine {
 public:
  /// @param usage "qtk eval --model DIR --text FILE"; @param example a line people can paste
  CommandLine(std::string usage, std::string summary, std::string example);

  /// Adds flags; see boost::program_options.
  boost::program_options::options_description_easy_init flags() { return described_.add_options(); }
  /// A flag that is also filled by free words, in order; `most` -1 takes all that are left.
  void positional(const std::string& flag, int most = 1) { positional_.add(flag.c_str(), most); }
  /// Reads `arguments`; sets the logging level from -q and -v. @throws ConfigError, HelpShown
  void parse(std::span<const std::string> arguments);

  bool has(const std::string& flag) const { return values_.count(flag) > 0; }
  std::string text(const std::string& flag) const { return values_[flag].as<std::string>(); }
  std::vector<std::string> texts(const std::string& flag) const;
  int64_t integer(const std::string& flag) const { return values_[flag].as<int64_t>(); }
  double number(const std::string& flag) const { return values_[flag].as<double>(); }
  /// An integer that is not negative. @throws ConfigError
  int64_t count(const std::string& flag) const;
  /// A number that is finite and not negative. @throws ConfigError
  double amount(const std::string& flag) const;
  /// @throws ConfigError if the flag was not given
  std::string required(const std::string& flag) const;

 private:
  void show_help() const;
  std::string superfluous_word(std::span<const std::string> arguments) const;

  std::string usage_, summary_, example_;
  boost::program_options::options_description described_{"Flags"};
  boost::program_options::positional_options_description positional_;
  boost::program_options::variables_map values_;
};

}  // namespace qtk::app
