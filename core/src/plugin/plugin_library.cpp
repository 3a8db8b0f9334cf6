#include "plugin/plugin_library.hpp"

#include "plugin/guarded.hpp"
#include "plugin/option_rules.hpp"

#include <qtk/plugin_descriptor.hpp>

#include <boost/dll/shared_library.hpp>
#include <cxxabi.h>

#include <cstdlib>
#include <memory>
#include <utility>

namespace qtk::plugin {
namespace {

constexpr const char* kEntry = "qtk_plugin_v1";
// Members behind `destroy` came later; a plugin without them is fine.
constexpr size_t kFirstSize = offsetof(PluginDescriptor, destroy) + sizeof(void*);
constexpr const char* kRebuild = "rebuild the plugin against this installation";

/// "_ZN3foo3barEv" -> "foo::bar()"; other text as it is.
std::string demangled(const std::string& symbol) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> text(
      abi::__cxa_demangle(symbol.c_str(), nullptr, nullptr, &status), &std::free);
  return status == 0 && text ? text.get() : symbol;
}

/// The loader's own words out of Boost.DLL's, which wraps them and adds a meaningless errno:
/// "... (dlerror system message: <file>: undefined symbol: x): Bad file descriptor".
std::string loader_message(std::string text, const std::string& file) {
  constexpr std::string_view kBegin = "(dlerror system message: ";
  if (const size_t begin = text.find(kBegin); begin != text.npos) {
    text.erase(0, begin + kBegin.size());
    text.resize(std::min(text.rfind(')'), text.size()));
  }
  if (text.starts_with(file + ": ")) text.erase(0, file.size() + 2);
  constexpr std::string_view kUndefined = "undefined symbol: ";
  if (text.starts_with(kUndefined)) {
    const size_t end = std::min(text.find_first_of(" ,", kUndefined.size()), text.size());
    const std::string symbol = text.substr(kUndefined.size(), end - kUndefined.size());
    return "undefined symbol " + demangled(symbol);
  }
  return text;
}

const PluginDescriptor* open_forever(const PluginName& name) {
  using boost::dll::load_mode::rtld_local;
  using boost::dll::load_mode::rtld_now;
  // Leaked on purpose, see the header.
  auto* library = new boost::dll::shared_library;
  try {
    library->load(name.file, rtld_now | rtld_local);
  } catch (const boost::dll::fs::system_error& error) {
    throw plugin_error(
        name, "cannot be opened: " + loader_message(error.what(), name.file.string()),
        "name the libraries that it needs in qtk_add_plugin(... LIBS ...), and see that "
        "they are installed");
  } catch (const std::exception& error) {
    throw plugin_error(name, "threw an exception while being opened: " + std::string(error.what()),
                       "make it free of static objects with constructors");
  }
  if (!library->has(kEntry))
    throw plugin_error(name, "has no entry " + std::string(kEntry),
                       "end its source with QTK_PLUGIN(...)");
  return library->get<const PluginDescriptor*()>(kEntry)();
}

void require(bool is_true, const PluginName& name, const std::string& what) {
  if (!is_true) throw plugin_error(name, what, kRebuild);
}

[[noreturn]] void throw_failure(const PluginFailure& failure, const PluginName& name,
                                const char* phase) {
  throw_as(static_cast<ExitCode>(failure.code),
           to_string(name) + " " + phase + ": " + failure.sentence + "\n  file      " +
               name.file.string(),
           failure.remedy);
}

}  // namespace

PluginLibrary::PluginLibrary(const std::filesystem::path& file, Manifest manifest)
    : name_{manifest.kind, manifest.name, file}, manifest_(std::move(manifest)) {
  descriptor_ = guarded(name_, "qtk_plugin_v1", [&] { return open_forever(name_); });
  check_descriptor();
}

void PluginLibrary::check_descriptor() const {
  require(descriptor_ != nullptr, name_, "returned no descriptor");
  require(descriptor_->struct_size >= kFirstSize, name_,
          "has a descriptor of " + std::to_string(descriptor_->struct_size) +
              " bytes, expected at least " + std::to_string(kFirstSize));
  const uint32_t major = descriptor_->api_version >> 16, minor = descriptor_->api_version & 0xffff;
  require(major == QTK_API_MAJOR && minor <= QTK_API_MINOR, name_,
          "has a descriptor of qtk API " + std::to_string(major) + "." + std::to_string(minor) +
              ", expected " + std::to_string(QTK_API_MAJOR) + "." + std::to_string(QTK_API_MINOR));
  const std::string kind = descriptor_->kind ? descriptor_->kind : "";
  const std::string id = descriptor_->info.name ? descriptor_->info.name : "";
  require(kind == name_.kind && id == name_.id, name_,
          "calls itself '" + id + "' (" + kind +
              ") once it is opened, which is not what its manifest says");
  require(descriptor_->options && descriptor_->create && descriptor_->destroy, name_,
          "has a descriptor with an empty function");
}

void PluginLibrary::describe() {
  PluginFailure failure;
  descriptor_->options(&options_, &failure);
  if (failure.code) throw_failure(failure, name_, "could not describe its options");
  if (const std::string violation = table_violation(options_); !violation.empty())
    throw plugin_error(name_, violation, "correct the plugin's describe()");
}

void* PluginLibrary::create(const OptionValues& values, RunContext& context) const {
  if (const std::string violation = values_violation(options_, values); !violation.empty())
    throw ConfigError(violation + " of " + to_string(name_), "see `qtk describe " + name_.id + "`");
  PluginFailure failure;
  void* object = descriptor_->create(&values, &context, &failure);
  if (object && !failure.code) return object;
  if (failure.code) throw_failure(failure, name_, "could not be constructed");
  throw plugin_error(name_, "could not be constructed: it returned no object and no reason",
                     "report it to the author of the plugin");
}

void PluginLibrary::destroy(void* object) const noexcept {
  if (object) descriptor_->destroy(object);
}

}  // namespace qtk::plugin
