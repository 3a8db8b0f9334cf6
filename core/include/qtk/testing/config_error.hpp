// Options that a plugin must refuse:
//
//   EXPECT_CONFIG_ERROR("rtn", "{bits: 9}", "is outside [2, 8]");
#pragma once

#include <qtk/testing/plugin_under_test.hpp>

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace qtk::testing {

/// Whether making the plugin with these options is refused with a ConfigError that contains `text`.
inline ::testing::AssertionResult is_config_error(const std::string& id, const std::string& yaml,
                                                  const std::string& text) {
  try {
    const PluginUnderTest plugin{.kind = kind_of_plugin(id, QTK_TEST_PLUGIN_PATH), .id = id};
    create(plugin, parse_options(plugin, yaml));
  } catch (const ConfigError& error) {
    if (std::string_view(error.what()).find(text) != std::string_view::npos)
      return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << id << " " << yaml << " is refused with\n  "
                                         << error.what() << "\nexpected a text with\n  " << text;
  } catch (const std::exception& error) {
    return ::testing::AssertionFailure()
           << id << " " << yaml << " throws something else: " << error.what();
  }
  return ::testing::AssertionFailure() << id << " accepts " << yaml;
}

}  // namespace qtk::testing

#define EXPECT_CONFIG_ERROR(id, yaml, text) \
  EXPECT_TRUE(::qtk::testing::is_config_error(id, yaml, text))
