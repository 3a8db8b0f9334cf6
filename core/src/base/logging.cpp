#include "base/logging.hpp"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdlib>

namespace qtk {
namespace {

// Leaked on purpose: plugins and LibTorch threads may log while static objects are being destroyed.
std::shared_ptr<spdlog::logger>& process_log() {
  static auto* logger = [] {
    auto sink = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
    if (std::getenv("NO_COLOR")) sink->set_color_mode(spdlog::color_mode::never);
    auto made = std::make_shared<spdlog::logger>("qtk", std::move(sink));
    made->set_level(spdlog::level::info);
    made->set_pattern("%^%l%$: %v");
    return new std::shared_ptr<spdlog::logger>(std::move(made));
  }();
  return *logger;
}

class SpdlogLogger final : public Logger {
 public:
  explicit SpdlogLogger(std::string component)
      : prefix_(component.empty() ? "" : component + ": ") {}
  void debug(std::string_view line) override { process_log()->debug("{}{}", prefix_, line); }
  void info(std::string_view line) override { process_log()->info("{}{}", prefix_, line); }
  void warn(std::string_view line) override { process_log()->warn("{}{}", prefix_, line); }

 private:
  std::string prefix_;
};

}  // namespace

void start_logging(Verbosity verbosity, int rank) {
  auto& logger = *process_log();
  logger.set_level(spdlog::level::debug);  // the file takes everything; stderr filters
  auto& terminal = *logger.sinks().front();
  terminal.set_level(verbosity == Verbosity::kQuiet    ? spdlog::level::warn
                     : verbosity == Verbosity::kNormal ? spdlog::level::info
                                                       : spdlog::level::debug);
  if (rank > 0) logger.set_pattern("%^%l%$: [rank " + std::to_string(rank) + "] %v");
}

void log_to_file(const std::filesystem::path& path) {
  auto sink =
      std::make_shared<spdlog::sinks::basic_file_sink_mt>(path.string(), /*truncate=*/false);
  sink->set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %v");
  sink->set_level(spdlog::level::debug);
  process_log()->sinks().push_back(std::move(sink));
  process_log()->flush_on(spdlog::level::debug);
}

Logger& core_log() {
  static auto* logger = new SpdlogLogger("");
  return *logger;
}

std::unique_ptr<Logger> make_log(std::string component) {
  return std::make_unique<SpdlogLogger>(std::move(component));
}

}  // namespace qtk
