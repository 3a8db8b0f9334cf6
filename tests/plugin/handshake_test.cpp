#include "plugin/handshake.hpp"

#include "plugin_files.hpp"

#include <qtk/runtime/error.hpp>
#include <qtk/runtime/fingerprint.hpp>

#include <gtest/gtest.h>

namespace qtk::plugin {
namespace {

const Host kHost{
    parse_fingerprint("qtk_api=2.3;torch=2.11.0;cxx11abi=1;stdlib=libstdc++;compiler=gcc12;"
                      "cxxstd=202002L;cuda=13.0;cuda_archs=none"),
    "2.11.0"};

Manifest built_with(const std::string& key, const std::string& value) {
  Manifest manifest{"quantizer", "hestia", "0.3.0", "Summary", "", kHost.build};
  manifest.build[key] = value;
  return manifest;
}

std::string refusal(const Host& host, const Manifest& manifest) {
  return sentence_of<PluginError>([&] {
    require_compatible(host, {manifest.kind, manifest.name, "/plugins/hestia.so"}, manifest);
  });
}

TEST(Handshake, OwnBuildFitsItselfAndTheLoadedLibTorch) {
  Manifest manifest = built_with("qtk_api", "1.0");
  manifest.build = parse_fingerprint(QTK_FINGERPRINT);

  const Handshake result = compare(this_host(), manifest);

  EXPECT_TRUE(result.refusals.empty());
  EXPECT_TRUE(result.warnings.empty());
  EXPECT_EQ(this_host().loaded_torch, QTK_TORCH_VERSION);
}

TEST(Handshake, EachFieldHasItsRule) {
  struct Case {
    const char *key, *value;
    int refusals, warnings;
  };
  const Case cases[] = {
      {"qtk_api", "2.3", 0, 0},    {"qtk_api", "2.0", 0, 0},    {"qtk_api", "2.4", 1, 0},
      {"qtk_api", "1.3", 1, 0},    {"qtk_api", "3.0", 1, 0},    {"qtk_api", "nonsense", 1, 0},
      {"qtk_api", "", 1, 0},       {"torch", "2.11.1", 1, 0},   {"torch", "2.11.0+cpu", 1, 0},
      {"cxx11abi", "0", 1, 0},     {"stdlib", "libc++", 1, 0},  {"compiler", "gcc13", 0, 1},
      {"cxxstd", "202302L", 0, 1}, {"cuda", "13.1", 0, 0},      {"cuda", "12.8", 1, 0},
      {"cuda", "none", 0, 0},      {"cuda_archs", "90a", 0, 0}, {"added_later", "x", 0, 0},
  };

  for (const Case& c : cases) {
    const Handshake result = compare(kHost, built_with(c.key, c.value));

    EXPECT_EQ(result.refusals.size(), static_cast<size_t>(c.refusals)) << c.key << "=" << c.value;
    EXPECT_EQ(result.warnings.size(), static_cast<size_t>(c.warnings)) << c.key << "=" << c.value;
  }
}

TEST(Handshake, MissingFieldIsRefused) {
  Manifest manifest = built_with("torch", "");
  manifest.build.erase("torch");

  EXPECT_CONTAINS(refusal(kHost, manifest), "found     torch=none");
}

TEST(Handshake, MessageListsAllDifferencesTogether) {
  Manifest manifest = built_with("torch", "2.8.0");
  manifest.build["cxx11abi"] = "0";

  EXPECT_EQ(refusal(kHost, manifest),
            "plugin 'hestia' (quantizer) was built for a different LibTorch, C++ ABI\n"
            "  file      /plugins/hestia.so\n"
            "  expected  torch=2.11.0;cxx11abi=1       (this qtk)\n"
            "  found     torch=2.8.0;cxx11abi=0       (plugin 0.3.0, qtk API 2.3)");
}

TEST(Handshake, RemedyNamesTheVersionToFind) {
  try {
    require_compatible(kHost, {"quantizer", "hestia", "/x.so"}, built_with("qtk_api", "3.0"));
    FAIL();
  } catch (const PluginError& error) {
    EXPECT_CONTAINS(error.remedy(), "find_package(qtk 2.3)");
    EXPECT_EQ(error.code(), ExitCode::kEnvironment);
  }
}

TEST(Handshake, StrayLibTorchInTheProcessIsRefused) {
  Host host = kHost;
  host.loaded_torch = "2.10.0";

  const std::string text = refusal(host, built_with("torch", "2.11.0"));

  EXPECT_CONTAINS(text, "expected  loaded_torch=2.11.0");
  EXPECT_CONTAINS(text, "found     loaded_torch=2.10.0");
}

TEST(Architectures, RunWhereCudaSaysTheyDo) {
  struct Case {
    const char* architectures;
    int major, minor;
    bool expected;
  };
  const Case cases[] = {
      {"90a", 9, 0, true},
      {"90a", 10, 0, false},
      {"90", 9, 0, true},
      {"90", 10, 0, true},
      {"90-real", 10, 0, false},
      {"90-virtual", 9, 0, true},
      {"80-real", 8, 9, true},
      {"89-real", 8, 0, false},
      {"89", 8, 0, false},
      {"80,90a", 9, 0, true},
      {"80-real,90a", 12, 0, false},
      {"none", 9, 0, false},
      {"100a", 10, 0, true},
      {"", 9, 0, false},
  };

  for (const Case& c : cases)
    EXPECT_EQ(runs_on(c.architectures, c.major, c.minor), c.expected)
        << c.architectures << " on " << c.major << c.minor;
}

}  // namespace
}  // namespace qtk::plugin
