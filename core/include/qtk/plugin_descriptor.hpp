// What a plugin's file holds for core: a manifest to be read without opening it, and a descriptor
// behind one C function. QTK_PLUGIN (plugin.hpp) makes both.
#pragma once

#include <qtk/api/compressor.hpp>
#include <qtk/api/estimator.hpp>
#include <qtk/api/quantizer.hpp>
#include <qtk/api/scheduler.hpp>
#include <qtk/api/search_strategy.hpp>
#include <qtk/options/option_set.hpp>
#include <qtk/runtime/error.hpp>
#include <qtk/runtime/fingerprint.hpp>
#include <qtk/runtime/run_context.hpp>

#include <c10/util/Exception.h>

#include <cstddef>
#include <cstring>
#include <exception>
#include <new>
#include <string_view>
#include <type_traits>
#include <utility>

namespace qtk {

/// Designated initialisers of QTK_PLUGIN, in this order. All point to literals.
struct PluginInfo {
  const char* name = "";     // lower snake case; equal to the CMake name, the file and the YAML
  const char* version = "";  // of the plugin
  const char* summary = "";  // one line
  const char* paper = "";    // title and identifier
};

/// Filled by a plugin's entry points instead of letting an exception cross a C frame.
struct PluginFailure {
  int code = 0;  // ExitCode; 0: no failure
  char sentence[2048] = {};
  char remedy[1024] = {};
};

/// What `qtk_plugin_v1` returns. Members are appended, never inserted, never reordered.
struct PluginDescriptor {
  uint32_t struct_size;
  uint32_t api_version;  // QTK_API_MAJOR << 16 | QTK_API_MINOR
  const char* fingerprint;
  const char* kind;
  PluginInfo info;
  void (*options)(OptionTable* out, PluginFailure* failure) noexcept;
  /// Returns a pointer to the interface (Quantizer*, ...), or null with `failure` filled.
  void* (*create)(const OptionValues* values, RunContext* context, PluginFailure* failure) noexcept;
  void (*destroy)(void* object) noexcept;
};
static_assert(offsetof(PluginDescriptor, info) == 24 && offsetof(PluginDescriptor, create) == 64 &&
              offsetof(PluginDescriptor, destroy) == 72);

}  // namespace qtk

namespace qtk::detail {

template <class Interface>
constexpr const char* kind_of() {
  if constexpr (std::is_same_v<Interface, Quantizer>)
    return "quantizer";
  else if constexpr (std::is_same_v<Interface, Scheduler>)
    return "scheduler";
  else if constexpr (std::is_same_v<Interface, Estimator>)
    return "estimator";
  else if constexpr (std::is_same_v<Interface, SearchStrategy>)
    return "search";
  else if constexpr (std::is_same_v<Interface, Compressor>)
    return "comm";
  else
    static_assert(!sizeof(Interface*),
                  "QTK_PLUGIN: the first argument is Quantizer, Scheduler, Estimator, "
                  "SearchStrategy or Compressor");
}

/// The manifest: one "key=value" line each, ended by a zero byte.
template <std::size_t N>
struct Manifest {
  char text[N] = {};
};

constexpr std::string_view kManifestKeys[] = {
    "qtk_manifest=1\nkind=", "\nname=", "\nversion=", "\nsummary=", "\npaper=", "\nbuild="};

template <std::size_t Count>
constexpr std::size_t manifest_size(const std::string_view (&values)[Count]) {
  std::size_t size = 2;  // last newline and the zero byte
  for (std::size_t i = 0; i < Count; ++i) size += kManifestKeys[i].size() + values[i].size();
  return size;
}

template <std::size_t N, std::size_t Count>
constexpr Manifest<N> make_manifest(const std::string_view (&values)[Count]) {
  Manifest<N> manifest;
  std::size_t at = 0;
  const auto append = [&](std::string_view part) {
    for (const char c : part) manifest.text[at++] = c;
  };
  for (std::size_t i = 0; i < Count; ++i) append(kManifestKeys[i]), append(values[i]);
  append("\n");
  return manifest;
}

/// A manifest is lines of text, so its values must not hold line ends or other control characters.
constexpr bool is_one_line(const char* text) {
  for (; *text; ++text)
    if (static_cast<unsigned char>(*text) < 0x20) return false;
  return true;
}

inline void copy_text(const char* from, char* to, std::size_t capacity) {
  std::strncpy(to, from, capacity - 1);
  to[capacity - 1] = 0;
}

/// Runs `body`; an exception becomes text.
template <class Body>
void contain(PluginFailure* failure, Body&& body) noexcept {
  try {
    body();
  } catch (const Error& error) {
    failure->code = static_cast<int>(error.code());
    copy_text(error.what(), failure->sentence, sizeof failure->sentence);
    copy_text(error.remedy().c_str(), failure->remedy, sizeof failure->remedy);
  } catch (const c10::Error& error) {  // its what() goes on with a page of addresses
    failure->code = static_cast<int>(ExitCode::kFailed);
    copy_text(error.what_without_backtrace(), failure->sentence, sizeof failure->sentence);
  } catch (const std::bad_alloc&) {
    failure->code = static_cast<int>(ExitCode::kMemory);
    copy_text("out of memory", failure->sentence, sizeof failure->sentence);
  } catch (const std::exception& error) {
    failure->code = static_cast<int>(ExitCode::kFailed);
    copy_text(error.what(), failure->sentence, sizeof failure->sentence);
  } catch (...) {
    failure->code = static_cast<int>(ExitCode::kFailed);
    copy_text("threw something that is not a std::exception", failure->sentence,
              sizeof failure->sentence);
  }
}

template <class Interface, class Class, class Options>
Interface* construct(const OptionValues& values, RunContext& context) {
  static_assert(std::is_base_of_v<Interface, Class>,
                "QTK_PLUGIN: the class does not implement the interface that is named first");
  static_assert(
      std::is_constructible_v<Class, Options, RunContext&> ||
          std::is_constructible_v<Class, Options> || std::is_constructible_v<Class>,
      "QTK_PLUGIN: the class needs a constructor (Options), (Options, RunContext&) or ()");
  Options options = make_options<Options>(option_table<Options>(), values);
  if constexpr (std::is_constructible_v<Class, Options, RunContext&>)
    return new Class(std::move(options), context);
  else if constexpr (std::is_constructible_v<Class, Options>)
    return new Class(std::move(options));
  else
    return new Class();
}

template <class Interface, class Class, class Options>
constexpr PluginDescriptor describe_plugin(const PluginInfo& info) {
  return {
      .struct_size = sizeof(PluginDescriptor),
      .api_version = QTK_API_MAJOR << 16 | QTK_API_MINOR,
      .fingerprint = QTK_FINGERPRINT,
      .kind = kind_of<Interface>(),
      .info = info,
      .options =
          [](OptionTable* out, PluginFailure* failure) noexcept {
            contain(failure, [&] { *out = option_table<Options>(); });
          },
      .create = [](const OptionValues* values, RunContext* context,
                   PluginFailure* failure) noexcept -> void* {
        Interface* object = nullptr;
        contain(failure, [&] { object = construct<Interface, Class, Options>(*values, *context); });
        return object;
      },
      .destroy = [](void* object) noexcept { delete static_cast<Interface*>(object); },
  };
}

}  // namespace qtk::detail
