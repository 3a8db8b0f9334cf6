// The process's log: spdlog on stderr, and into a file of the run folder once there is one. stdout
// belongs to results.
#pragma once

#include <qtk/runtime/log.hpp>

#include <filesystem>
#include <memory>
#include <string>

namespace qtk {

enum class Verbosity { kQuiet, kNormal, kDebug };

/// Sets the level of stderr; call once, before other threads start. `rank` > 0 prefixes every line.
void start_logging(Verbosity verbosity, int rank = 0);
/// Adds a file that receives every line from debug on, appended and flushed line by line.
void log_to_file(const std::filesystem::path& path);
/// The log of core itself.
Logger& core_log();
/// A log whose lines name `component`.
std::unique_ptr<Logger> make_log(std::string component);

}  // namespace qtk
