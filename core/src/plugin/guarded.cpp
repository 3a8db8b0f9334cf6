#include "plugin/guarded.hpp"

#include <c10/util/Exception.h>

#include <new>

namespace qtk::plugin {

void throw_as(ExitCode code, const std::string& sentence, std::string remedy) {
  switch (code) {
    case ExitCode::kConfig:
      throw ConfigError(sentence, std::move(remedy));
    case ExitCode::kEnvironment:
      throw PluginError(sentence, std::move(remedy));
    case ExitCode::kData:
      throw DataError(sentence, std::move(remedy));
    case ExitCode::kIo:
      throw IoError(sentence, std::move(remedy));
    default:
      throw Error(sentence, std::move(remedy), code);
  }
}

void rethrow_naming(const PluginName& name, std::string_view method) {
  const std::string who = to_string(name);
  const std::string prefix = who + ", " + std::string(method) + ": ";
  try {
    throw;
  } catch (const Error& error) {
    if (std::string_view(error.what()).starts_with(who)) throw;
    throw_as(error.code(), prefix + error.what(), error.remedy());
  } catch (const c10::OutOfMemoryError& error) {
    throw_as(ExitCode::kMemory, prefix + error.what_without_backtrace(), {});
  } catch (const c10::Error& error) {
    throw_as(ExitCode::kFailed, prefix + error.what_without_backtrace(), {});
  } catch (const std::bad_alloc&) {
    throw_as(ExitCode::kMemory, prefix + "out of memory", {});
  } catch (const std::exception& error) {
    throw_as(ExitCode::kFailed, prefix + error.what(), {});
  } catch (...) {
    throw_as(ExitCode::kFailed, prefix + "threw something that is not a std::exception", {});
  }
}

}  // namespace qtk::plugin
