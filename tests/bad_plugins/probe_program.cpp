// The two sides of a probe, without the launcher:
//
//   plugin_probe_program plugin-probe FILE                        the child's
//   plugin_probe_program require-probe FILE CACHE_FOLDER          the parent's, with this program
//   as the child
#include "plugin/manifest.hpp"
#include "plugin/probe.hpp"

#include <qtk/runtime/error.hpp>

#include <cstdio>
#include <string_view>

int main(int argc, char** argv) {
  if (argc == 3 && std::string_view(argv[1]) == "plugin-probe")
    return qtk::plugin::run_probe(argv[2]);
  if (argc != 4) return 64;
  try {
    const auto manifest = qtk::plugin::read_manifest(argv[2]);
    qtk::plugin::require_probe({manifest.kind, manifest.name, argv[2]},
                               {.executable = "/proc/self/exe", .cache_folder = argv[3]});
  } catch (const qtk::Error& error) {
    std::fprintf(stderr, "%s\n%s\n", error.what(), error.remedy().c_str());
    return static_cast<int>(error.code());
  }
}
