// Plugins in tests: objects made from an id and options written as YAML.
//
//   const auto rtn = qtk::testing::make<qtk::Quantizer>("rtn", "{bits: 4, group_size: 32}");
//
// Plugins are looked for where qtk_add_plugin put them, then as in a run, and opened in this
// process.
#pragma once

#include <qtk/options/option_value.hpp>
#include <qtk/plugin.hpp>
#include <qtk/runtime/export.hpp>
#include <qtk/runtime/run_context.hpp>

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>

#ifndef QTK_TEST_PLUGIN_PATH  // set by qtk_add_plugin_test
#define QTK_TEST_PLUGIN_PATH ""
#endif

namespace qtk::testing {

/// Where a test's own plugin lies, and who it is.
struct PluginUnderTest {
  std::string kind;
  std::string id;
  std::string folder = QTK_TEST_PLUGIN_PATH;
};

/// @throws PluginError
QTK_API const OptionTable& option_table(const PluginUnderTest& plugin);
/// @param yaml  a map: "{bits: 4}". @throws ConfigError
QTK_API OptionValues parse_options(const PluginUnderTest& plugin, std::string_view yaml);
/// An object of the plugin's interface, destroyed by its library. @throws what the plugin throws
QTK_API std::shared_ptr<void> create(const PluginUnderTest& plugin, const OptionValues& values);
/// The kind of the only plugin with this id. @throws PluginError if there is none, or several
QTK_API std::string kind_of_plugin(const std::string& id, const std::string& folder);

/// Normal numbers, fp32 on the CPU; equal seeds give equal tensors.
QTK_API at::Tensor gaussian(std::initializer_list<int64_t> shape, uint64_t seed);
/// A context on the CPU with seed 0 and one rank, for calls that need one.
QTK_API RunContext& cpu_context();

namespace detail {

/// The interface that T is or implements.
template <class T>
using InterfaceOf = std::conditional_t<
    std::is_base_of_v<Quantizer, T>, Quantizer,
    std::conditional_t<std::is_base_of_v<Scheduler, T>, Scheduler,
                       std::conditional_t<std::is_base_of_v<Estimator, T>, Estimator,
                                          std::conditional_t<std::is_base_of_v<SearchStrategy, T>,
                                                             SearchStrategy, Compressor>>>>;

}  // namespace detail

template <class T>
PluginUnderTest plugin_under_test(const std::string& id) {
  return {.kind = qtk::detail::kind_of<detail::InterfaceOf<T>>(), .id = id};
}

/// T is an interface or, for methods of a base class such as WeightOnlyQuantizer, what the plugin
/// derives from.
/// @throws Error if the plugin's object is no T
template <class T>
std::shared_ptr<T> make(const PluginUnderTest& plugin, const OptionValues& values) {
  using Interface = detail::InterfaceOf<T>;
  const std::shared_ptr<void> object = create(plugin, values);
  auto* interface = static_cast<Interface*>(object.get());
  if constexpr (std::is_same_v<T, Interface>) {
    return std::shared_ptr<T>(object, interface);
  } else {
    auto* derived = dynamic_cast<T*>(interface);
    QTK_CHECK(derived, "plugin '", plugin.id, "' is of another class than the test expects");
    return std::shared_ptr<T>(object, derived);
  }
}

template <class T>
std::shared_ptr<T> make(const std::string& id, std::string_view yaml = "{}") {
  const PluginUnderTest plugin = plugin_under_test<T>(id);
  return make<T>(plugin, parse_options(plugin, yaml));
}

}  // namespace qtk::testing
