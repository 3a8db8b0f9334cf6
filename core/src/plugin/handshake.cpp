#include "plugin/handshake.hpp"

#include "base/logging.hpp"

#include <qtk/runtime/error.hpp>
#include <qtk/runtime/fingerprint.hpp>

#include <caffe2/core/common.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace qtk::plugin {
namespace {

const std::string kNone = "none";

const std::string& value_of(const Fingerprint& build, std::string_view key) {
  const auto value = build.find(key);
  return value == build.end() ? kNone : value->second;
}

std::pair<int, int> major_minor(std::string_view text) {
  const char* const end = text.data() + text.size();
  std::pair<int, int> version{-1, 0};
  const auto [rest, error] = std::from_chars(text.data(), end, version.first);
  if (error == std::errc() && rest != end && *rest == '.')
    std::from_chars(rest + 1, end, version.second);
  return version;
}

bool is_api_compatible(const std::string& host, const std::string& plugin) {
  const auto [host_major, host_minor] = major_minor(host);
  const auto [plugin_major, plugin_minor] = major_minor(plugin);
  return plugin_major == host_major && plugin_minor <= host_minor;
}

bool is_cuda_compatible(const std::string& host, const std::string& plugin) {
  return host == kNone || plugin == kNone || major_minor(host).first == major_minor(plugin).first;
}

bool is_equal(const std::string& host, const std::string& plugin) { return host == plugin; }

struct Rule {
  const char* key;
  const char* what;
  bool (*is_compatible)(const std::string& host, const std::string& plugin);
  bool is_refusal;
};

constexpr Rule kRules[] = {
    {"qtk_api", "qtk API", is_api_compatible, true},
    {"torch", "LibTorch", is_equal, true},
    {"cxx11abi", "C++ ABI", is_equal, true},
    {"stdlib", "C++ standard library", is_equal, true},
    {"cuda", "CUDA", is_cuda_compatible, true},
    {"compiler", "compiler", is_equal, false},
    {"cxxstd", "C++ standard", is_equal, false},
};

/// Not by way of at::show_config(): that asks for CUDA's hooks, and LibTorch keeps its first
/// answer, so that a libtorch_cuda.so opened later would never be found.
std::string loaded_torch_version() {
  const auto& options = caffe2::GetBuildOptions();
  const auto version = options.find("TORCH_VERSION");
  return version == options.end() ? std::string() : version->second;
}

std::string joined(const std::vector<Mismatch>& mismatches, const char* separator,
                   std::string (*part)(const Mismatch&)) {
  std::string text;
  for (const Mismatch& mismatch : mismatches)
    text += (text.empty() ? "" : separator) + part(mismatch);
  return text;
}

std::string what_of(const Mismatch& m) { return m.what; }
std::string expected_of(const Mismatch& m) { return m.key + "=" + m.expected; }
std::string found_of(const Mismatch& m) { return m.key + "=" + m.found; }

/// "90a" -> 90, 'a' with the compute capability 9.0.
struct Architecture {
  int number = 0;
  bool is_exact = false;    // an architecture-specific feature set runs nowhere else
  bool has_binary = true;   // code for the architecture itself and its later minors
  bool has_virtual = true;  // PTX, for every later architecture
};

Architecture parse_architecture(std::string_view text) {
  Architecture result;
  const char* const end = text.data() + text.size();
  const char* const rest = std::from_chars(text.data(), end, result.number).ptr;
  const std::string_view suffix(rest, static_cast<size_t>(end - rest));
  result.is_exact = suffix.starts_with('a');
  result.has_binary = !suffix.ends_with("-virtual");
  result.has_virtual = !suffix.ends_with("-real");
  return result;
}

}  // namespace

const Host& this_host() {
  static const auto* host = new Host{parse_fingerprint(QTK_FINGERPRINT), loaded_torch_version()};
  return *host;
}

Handshake compare(const Host& host, const Manifest& manifest) {
  Handshake result;
  for (const Rule& rule : kRules) {
    const std::string& expected = value_of(host.build, rule.key);
    const std::string& found = value_of(manifest.build, rule.key);
    if (!rule.is_compatible(expected, found))
      (rule.is_refusal ? result.refusals : result.warnings)
          .push_back({rule.what, rule.key, expected, found});
  }
  const std::string& compiled_for = value_of(host.build, "torch");
  if (!host.loaded_torch.empty() && host.loaded_torch != compiled_for)
    result.refusals.push_back(
        {"LibTorch than the loaded one", "loaded_torch", compiled_for, host.loaded_torch});
  return result;
}

void require_compatible(const Host& host, const PluginName& name, const Manifest& manifest) {
  const Handshake result = compare(host, manifest);
  for (const Mismatch& difference : result.warnings)
    core_log().warn(to_string(name) + " was built with another " + difference.what +
                    " expected=" + difference.expected + " found=" + difference.found);
  if (result.refusals.empty()) return;
  const std::string& api = value_of(host.build, "qtk_api");
  throw PluginError(
      to_string(name) + " was built for a different " + joined(result.refusals, ", ", what_of) +
          "\n  file      " + name.file.string() + "\n  expected  " +
          joined(result.refusals, ";", expected_of) + "       (this qtk)\n  found     " +
          joined(result.refusals, ";", found_of) + "       (plugin " + manifest.version +
          ", qtk API " + value_of(manifest.build, "qtk_api") + ")",
      "rebuild the plugin against this installation (find_package(qtk " + api +
          ")), or set the plugin path");
}

bool runs_on(std::string_view architectures, int major, int minor) {
  const int device = 10 * major + minor;
  while (!architectures.empty()) {
    const size_t end = std::min(architectures.find(','), architectures.size());
    const Architecture built = parse_architecture(architectures.substr(0, end));
    architectures.remove_prefix(std::min(end + 1, architectures.size()));
    if (built.number == 0) continue;  // "none"
    if (built.is_exact
            ? built.number == device
            : (built.has_binary && built.number / 10 == major && built.number <= device) ||
                  (built.has_virtual && built.number <= device))
      return true;
  }
  return false;
}

}  // namespace qtk::plugin
