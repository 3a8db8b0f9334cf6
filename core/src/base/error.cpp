#include <qtk/runtime/error.hpp>

#include <utility>

namespace qtk {

Error::Error(const std::string& sentence, std::string remedy, ExitCode code, std::string area)
    : std::runtime_error(sentence),
      remedy_(std::move(remedy)),
      area_(std::move(area)),
      code_(code) {}
Error::~Error() = default;

ConfigError::ConfigError(const std::string& sentence, std::string remedy)
    : Error(sentence, std::move(remedy), ExitCode::kConfig, "config") {}
ConfigError::~ConfigError() = default;

PluginError::PluginError(const std::string& sentence, std::string remedy)
    : Error(sentence, std::move(remedy), ExitCode::kEnvironment, "plugin") {}
PluginError::~PluginError() = default;

DataError::DataError(const std::string& sentence, std::string remedy)
    : Error(sentence, std::move(remedy), ExitCode::kData, "data") {}
DataError::~DataError() = default;

IoError::IoError(const std::string& sentence, std::string remedy)
    : Error(sentence, std::move(remedy), ExitCode::kIo, "io") {}
IoError::~IoError() = default;

}  // namespace qtk
