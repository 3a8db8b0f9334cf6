// The one include of a plugin. A plugin is a struct of options, a class that implements one of the
// five interfaces, and
//
//   QTK_PLUGIN(Quantizer, Rtn, RtnOptions, .name = "rtn", .version = "0.1.0", .summary = "Round to
//   nearest")
//
// at the end of its file. The class is constructed from (options) or (options, RunContext&).
#pragma once

#include <qtk/api/compressor.hpp>
#include <qtk/api/estimator.hpp>
#include <qtk/api/quantizer.hpp>
#include <qtk/api/scheduler.hpp>
#include <qtk/api/search_strategy.hpp>
#include <qtk/options/option_set.hpp>
#include <qtk/plugin_descriptor.hpp>
#include <qtk/runtime/check.hpp>
#include <qtk/runtime/error.hpp>
#include <qtk/runtime/fingerprint.hpp>
#include <qtk/runtime/run_context.hpp>
#include <qtk/weight_only.hpp>

#include <string_view>

// The CMake function qtk_add_plugin sets QTK_PLUGIN_NAME and QTK_PLUGIN_KIND.
#ifdef QTK_STATIC_PLUGIN  // linked into a test: the entry has the name that the test gives it
#define QTK_DETAIL_ENTRY QTK_STATIC_PLUGIN
#define QTK_DETAIL_MANIFEST
#else
#define QTK_DETAIL_ENTRY qtk_plugin_v1
#define QTK_DETAIL_MANIFEST                                                                       \
  extern "C" {                                                                                    \
  QTK_API extern const ::qtk::detail::Manifest<::qtk::detail::manifest_size(qtk_manifest_values)> \
      qtk_manifest_v1;                                                                            \
  __attribute__((                                                                                 \
      section(".qtk_manifest"),                                                                   \
      used)) constexpr ::qtk::detail::Manifest<::qtk::detail::manifest_size(qtk_manifest_values)> \
      qtk_manifest_v1 =                                                                           \
          ::qtk::detail::make_manifest<::qtk::detail::manifest_size(qtk_manifest_values)>(        \
              qtk_manifest_values);                                                               \
  }
#endif
#ifdef QTK_PLUGIN_NAME
#define QTK_DETAIL_SAME_AS_CMAKE                                                    \
  static_assert(std::string_view(qtk_plugin_info.name) == QTK_PLUGIN_NAME,          \
                "QTK_PLUGIN: .name differs from the name given to qtk_add_plugin"); \
  static_assert(std::string_view(qtk_manifest_values[0]) == QTK_PLUGIN_KIND,        \
                "QTK_PLUGIN: the interface does not belong to the KIND given to qtk_add_plugin");
#else
#define QTK_DETAIL_SAME_AS_CMAKE
#endif

#define QTK_PLUGIN(Interface, Class, Options, ...)                                                \
  namespace {                                                                                     \
  constexpr ::qtk::PluginInfo qtk_plugin_info{__VA_ARGS__};                                       \
  constexpr std::string_view qtk_manifest_values[] = {::qtk::detail::kind_of<::qtk::Interface>(), \
                                                      qtk_plugin_info.name,                       \
                                                      qtk_plugin_info.version,                    \
                                                      qtk_plugin_info.summary,                    \
                                                      qtk_plugin_info.paper,                      \
                                                      QTK_FINGERPRINT};                           \
  static_assert(qtk_plugin_info.name[0] && qtk_plugin_info.version[0] &&                          \
                    qtk_plugin_info.summary[0],                                                   \
                "QTK_PLUGIN: .name, .version and .summary must not be empty");                    \
  static_assert(::qtk::detail::is_one_line(qtk_plugin_info.name) &&                               \
                    ::qtk::detail::is_one_line(qtk_plugin_info.version) &&                        \
                    ::qtk::detail::is_one_line(qtk_plugin_info.summary) &&                        \
                    ::qtk::detail::is_one_line(qtk_plugin_info.paper),                            \
                "QTK_PLUGIN: .name, .version, .summary and .paper are one line of text each");    \
  QTK_DETAIL_SAME_AS_CMAKE                                                                        \
  }                                                                                               \
  QTK_DETAIL_MANIFEST                                                                             \
  extern "C" QTK_API const ::qtk::PluginDescriptor* QTK_DETAIL_ENTRY() {                          \
    static constexpr ::qtk::PluginDescriptor descriptor =                                         \
        ::qtk::detail::describe_plugin<::qtk::Interface, Class, Options>(qtk_plugin_info);        \
    return &descriptor;                                                                           \
  }
