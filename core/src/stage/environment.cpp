#include "stage/environment.hpp"

#include "base/device.hpp"
#include "base/hash.hpp"
#include "base/mapped_file.hpp"

#include <qtk/version.hpp>

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <nlohmann/json.hpp>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <vector>

namespace qtk::stage {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kVariables[] = {
    "CUDA_VISIBLE_DEVICES",   "OMP_NUM_THREADS",  "MKL_NUM_THREADS",    "QTK_PLUGIN_PATH",
    "QTK_SYNC_LAUNCHES",      "NCCL_DEBUG",       "NCCL_SOCKET_IFNAME", "NCCL_IB_DISABLE",
    "NCCL_P2P_DISABLE",       "NCCL_NVLS_ENABLE", "GLOO_SOCKET_IFNAME", "PYTORCH_ALLOC_CONF",
    "PYTORCH_CUDA_ALLOC_CONF"};

/// Value of the first "<key> : value" line of a /proc file.
std::string proc_value(const char* file, std::string_view key) {
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(key)) continue;
    const size_t at = line.find_first_not_of(" \t", line.find(':') + 1);
    return at == std::string::npos ? "" : line.substr(at);
  }
  return "";
}

std::string large_file_fingerprint(const fs::path& path) {
  constexpr size_t kPart = 16 << 20;
  const auto file = MappedFile::open(path);
  const auto bytes = file->bytes();
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return fingerprint(std::to_string(bytes.size()) + fingerprint(text.substr(0, kPart)) +
                     fingerprint(text.substr(text.size() - kPart)));
}

std::string file_fingerprint(const fs::path& path) {
  constexpr uintmax_t kWholeUpTo = 1'000'000'000;
  return fs::file_size(path) <= kWholeUpTo ? fingerprint_file(path) : large_file_fingerprint(path);
}

}  // namespace

std::string build_fingerprint() {
  Dl_info own{};
  ::dladdr(reinterpret_cast<const void*>(&build_fingerprint), &own);
  return fingerprint_file(own.dli_fname).substr(0, 16);
}

json environment_json(c10::Device device) {
  json variables = json::object();
  for (const char* name : kVariables)
    if (const char* value = std::getenv(name)) variables[name] = value;
  char host[256] = {};
  ::gethostname(host, sizeof host - 1);
  return {{"qtk", QTK_VERSION},
          {"libtorch", QTK_TORCH_VERSION},
          {"host", host},
          {"processor", proc_value("/proc/cpuinfo", "model name")},
          {"cores", static_cast<int64_t>(::sysconf(_SC_NPROCESSORS_ONLN))},
          {"threads", at::get_num_threads()},
          {"memory", proc_value("/proc/meminfo", "MemTotal")},
          {"device", device.str()},
          {"environment", variables}};
}

std::string machine_text(c10::Device device) {
  std::string text = proc_value("/proc/cpuinfo", "model name") + ", " +
                     std::to_string(at::get_num_threads()) + " threads";
  if (device.is_cuda()) text = "CUDA device " + std::to_string(device.index()) + ", " + text;
  return text + ", LibTorch " QTK_TORCH_VERSION;
}

std::string content_fingerprint(const fs::path& path) {
  if (!fs::is_directory(path)) return file_fingerprint(path);
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(path)) {
    const auto extension = entry.path().extension();
    if (entry.is_regular_file() && (extension == ".safetensors" || extension == ".json"))
      files.push_back(entry.path());
  }
  std::ranges::sort(files);
  std::string all;
  for (const auto& file : files)
    all += file.filename().string() + "=" + file_fingerprint(file) + ";";
  return fingerprint(all);
}

void flatten(const config::Node& node, const std::string& path,
             std::map<std::string, std::string>& out) {
  if (node.is_map())
    for (size_t i = 0; i < node.keys().size(); ++i)
      flatten(node.items()[i], config::child_path(path, node.keys()[i].text), out);
  else if (node.is_sequence())
    for (size_t i = 0; i < node.items().size(); ++i)
      flatten(node.items()[i], config::child_path(path, i), out);
  else
    out[path] = node.text();
}

int64_t peak_memory_bytes() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return int64_t{1024} * usage.ru_maxrss;
}

}  // namespace qtk::stage
