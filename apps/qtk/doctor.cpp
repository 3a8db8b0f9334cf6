// qtk doctor: what this machine and this installation offer. A line that is wrong ends with what to do about it.
#include "command_line.hpp"
#include "verb.hpp"

#include "base/device.hpp"
#include "base/progress.hpp"
#include "plugin/registry.hpp"
#include "stage/environment.hpp"

#include <qtk/runtime/error.hpp>
#include <qtk/version.hpp>

#include <dlfcn.h>
#include <nlohmann/json.hpp>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <set>

namespace qtk::app {
namespace {

namespace fs = std::filesystem;
namespace po = boost::program_options;
using nlohmann::json;

struct Finding {
  std::string what, value;
  bool is_good = true;
  std::string remedy;
};

/// Files of the process's mapped libraries whose names matter.
std::vector<std::string> mapped_libraries() {
  std::set<std::string> files;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    const size_t at = line.find('/');
    if (at == std::string::npos) continue;
    const std::string file = line.substr(at);
    for (const char* name : {"libqtk.so", "libtorch_cpu", "libc10.so", "libcudart", "libgomp", "libyaml-cpp"})
      if (file.find(name) != std::string::npos) files.insert(file);
  }
  return {files.begin(), files.end()};
}

std::vector<Finding> findings() {
  std::vector<Finding> all;
  const json environment = stage::environment_json(c10::kCPU);
  all.push_back({"qtk", QTK_VERSION " (plugin API " + std::to_string(QTK_API_MAJOR) + "." + std::to_string(QTK_API_MINOR) + ")"});
  all.push_back({"processor", environment["processor"].get<std::string>() + ", " + environment["cores"].dump() + " cores"});
  all.push_back({"memory", environment["memory"]});
  const bool has_cuda = cuda_is_available();
  all.push_back({"GPU", has_cuda ? "CUDA answers" : "none; device: cpu works", true});
  if (!has_cuda) {
    try {
      open_device("cuda");
    } catch (const Error& error) {
      all.back().value += std::string(" (") + error.what() + ")";
    }
  }
  for (const auto& file : mapped_libraries()) all.push_back({"library", file});
  std::error_code error;
  const auto space = fs::space(fs::current_path(), error);
  all.push_back({"free disk here", size_text(static_cast<int64_t>(space.available)), space.available > (1U << 30),
                 "free some space: a run of a small model writes about 1 GB"});
  const auto plugins = plugin::registry().list();
  for (const auto& listing : plugins)
    all.push_back({"plugin",
                   listing.manifest ? listing.manifest->kind + " " + listing.manifest->name + " " + listing.manifest->version
                                    : listing.file.string(),
                   listing.problem.empty(), listing.problem});
  if (plugins.empty())
    all.push_back({"plugins", "none found", false, "set QTK_PLUGIN_PATH, or build with `make build`"});
  for (const auto& [name, value] : environment["environment"].items())
    all.push_back({"environment", name + "=" + value.get<std::string>()});
  return all;
}

}  // namespace

int doctor(Arguments arguments) {
  CommandLine line("qtk doctor [--json]", "Shows what this machine and this installation offer.", "qtk doctor");
  line.flags()("plugin-path", po::value<std::vector<std::string>>()->composing(), "folder with plugins; repeatable")(
      "json", "JSON on stdout");
  line.parse(arguments);
  std::vector<fs::path> paths;
  for (const auto& path : line.texts("plugin-path")) paths.emplace_back(path);
  plugin::registry().configure(plugin::default_load_options(paths));
  bool is_good = true;
  json list = json::array();
  for (const auto& [what, value, good, remedy] : findings()) {
    is_good = is_good && good;
    if (line.has("json")) list.push_back({{"what", what}, {"value", value}, {"good", good}, {"remedy", good ? "" : remedy}});
    else std::printf("%-4s %-15s %s%s\n", good ? "ok" : "BAD", what.c_str(), value.c_str(),
                     good || remedy.empty() ? "" : ("\n     " + remedy).c_str());
  }
  if (line.has("json")) std::cout << json{{"good", is_good}, {"findings", list}}.dump(2) << "\n";
  return is_good ? 0 : static_cast<int>(ExitCode::kEnvironment);
}

}  // namespace qtk::app
