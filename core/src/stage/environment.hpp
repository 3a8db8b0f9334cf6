// What a run happened on: versions, machine, and the identity of its inputs.
#pragma once

#include "config/node.hpp"

#include <c10/core/Device.h>
#include <nlohmann/json_fwd.hpp>

#include <filesystem>
#include <map>
#include <string>

namespace qtk::stage {

/// Versions, processor, memory, threads, GPU, and the environment variables that change results or
/// speed.
nlohmann::json environment_json(c10::Device device);

/// "AMD EPYC, 2 threads, LibTorch 2.11.0" for tables and reports.
std::string machine_text(c10::Device device);

/// Fingerprint of a file, or of all weight and settings files of a model folder. Files beyond 1 GB
/// count with their size, beginning and end.
std::string content_fingerprint(const std::filesystem::path& path);

/// Of the library of core that this process runs.
std::string build_fingerprint();

/// Every scalar of a tree by its dotted path.
void flatten(const config::Node& node, const std::string& path,
             std::map<std::string, std::string>& out);

/// Resident memory of this process at its highest, in bytes.
int64_t peak_memory_bytes();

}  // namespace qtk::stage
