#include "command_line.hpp"

#include "base/logging.hpp"
#include "base/nearest_name.hpp"
#include "base/progress.hpp"

#include <qtk/runtime/error.hpp>

#include <cmath>
#include <iostream>

namespace qtk::app {

namespace po = boost::program_options;

CommandLine::CommandLine(std::string usage, std::string summary, std::string example)
    : usage_(std::move(usage)), summary_(std::move(summary)), example_(std::move(example)) {
  described_.add_options()("help,h", "show this help")(
      "quiet,q", "only warnings and errors on stderr")("verbose,v",
                                                       "also what a developer wants to know");
}

std::vector<std::string> CommandLine::texts(const std::string& flag) const {
  return has(flag) ? values_[flag].as<std::vector<std::string>>() : std::vector<std::string>{};
}

std::string CommandLine::required(const std::string& flag) const {
  if (!has(flag)) throw ConfigError("--" + flag + " is missing", "usage: " + usage_);
  return text(flag);
}

void CommandLine::show_help() const {
  std::cout << summary_ << "\n\nUsage: " << usage_ << "\n\n"
            << described_ << "\nExample:\n  " << example_ << "\n";
  throw HelpShown{};
}

std::string CommandLine::superfluous_word(std::span<const std::string> arguments) const {
  const auto parsed =
      po::command_line_parser({arguments.begin(), arguments.end()}).options(described_).run();
  const auto words = po::collect_unrecognized(parsed.options, po::include_positional);
  const auto allowed = static_cast<size_t>(positional_.max_total_count());
  return allowed < words.size() ? words[allowed] : words.back();
}

int64_t CommandLine::count(const std::string& flag) const {
  const int64_t value = integer(flag);
  if (value < 0)
    throw ConfigError("--" + flag + " is " + std::to_string(value) + ", expected 0 or more",
                      "usage: " + usage_);
  return value;
}

double CommandLine::amount(const std::string& flag) const {
  const double value = number(flag);
  if (!std::isfinite(value) || value < 0)
    throw ConfigError("--" + flag + " is " + std::to_string(value) + ", expected 0 or more",
                      "usage: " + usage_);
  return value;
}

void CommandLine::parse(std::span<const std::string> arguments) {
  namespace style = po::command_line_style;
  try {
    po::store(po::command_line_parser({arguments.begin(), arguments.end()})
                  .options(described_)
                  .positional(positional_)
                  .style(style::default_style & ~style::allow_guessing)
                  .run(),
              values_);
  } catch (const po::unknown_option& error) {
    std::vector<std::string> known;
    for (const auto& option : described_.options()) known.push_back("--" + option->long_name());
    const std::string given = error.get_option_name(), nearest = nearest_name(given, known);
    throw ConfigError(
        "unknown flag " + given + (nearest.empty() ? "" : "; did you mean " + nearest + "?"),
        "usage: " + usage_);
  } catch (const po::too_many_positional_options_error&) {
    throw ConfigError("'" + superfluous_word(arguments) + "' is one word too many",
                      "usage: " + usage_);
  } catch (const po::error& error) {
    throw ConfigError(error.what(), "usage: " + usage_);
  }
  if (has("help")) show_help();
  start_logging(has("quiet")     ? Verbosity::kQuiet
                : has("verbose") ? Verbosity::kDebug
                                 : Verbosity::kNormal);
  if (has("quiet")) Progress::silence();
}

}  // namespace qtk::app
