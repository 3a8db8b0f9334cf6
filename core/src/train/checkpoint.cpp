#include "train/checkpoint.hpp"

#include "base/atomic_file.hpp"
#include "base/hash.hpp"
#include "base/logging.hpp"
#include "format/safetensors.hpp"
#include "format/strict_json.hpp"

#include <qtk/runtime/error.hpp>

#include <algorithm>
#include <charconv>
#include <cstdio>

namespace qtk::train {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int64_t kFormat = 1;
constexpr const char* kTensors = "state.safetensors";
constexpr const char* kValues = "state.json";
constexpr const char* kManifest = "manifest.json";
constexpr const char* kComplete = "COMPLETE";
constexpr std::string_view kPrefix = "step-";
constexpr std::string_view kPartial = ".partial";

void write_tensors(const fs::path& path, const TrainState& state) {
  std::vector<format::TensorInfo> infos;
  for (const auto& [name, tensor] : state.tensors)
    infos.push_back({name, tensor.scalar_type(), tensor.sizes().vec()});
  // Wide types first: a tensor that is aligned need not be copied when it is read.
  std::ranges::stable_sort(infos, std::greater{}, [](const format::TensorInfo& info) {
    return c10::elementSize(info.dtype);
  });
  format::SafetensorsWriter writer(path, infos, {});
  for (const auto& info : infos) writer.write(info.name, state.tensors.at(info.name));
  writer.commit();
}

json file_record(const fs::path& path) {
  return {{"bytes", fs::file_size(path)}, {"xxh3", fingerprint_file(path)}};
}

/// Throws DataError that says what is wrong with a folder.
Checkpoint read_checkpoint(const fs::path& folder, int64_t step) {
  const std::string manifest_text = read_text_file(folder / kManifest);
  if (read_text_file(folder / kComplete) != fingerprint(manifest_text) + "\n")
    throw DataError((folder / kManifest).string() + " is damaged");
  const json manifest = format::parse_strict_json(manifest_text, (folder / kManifest).string());
  if (manifest.value("format", int64_t{0}) != kFormat)
    throw DataError(folder.string() + " has format " +
                    std::to_string(manifest.value("format", int64_t{0})) + ", expected " +
                    std::to_string(kFormat));
  for (const char* name : {kTensors, kValues})
    if (file_record(folder / name) != manifest.at("files").at(name))
      throw DataError((folder / name).string() + " is damaged: its hash is not the manifest's");
  Checkpoint checkpoint{step, folder, {}};
  const auto file = format::SafetensorsFile::open(folder / kTensors);
  for (const auto& info : file.tensors())
    checkpoint.state.tensors[info.name] = file.tensor(info.name);
  const json content = json::parse(read_text_file(folder / kValues));
  checkpoint.state.values = content.at("values");
  checkpoint.state.aliases = content.at("aliases").get<std::map<std::string, std::string>>();
  return checkpoint;
}

}  // namespace

CheckpointStore::CheckpointStore(fs::path folder, int64_t keep)
    : folder_(std::move(folder)), keep_(keep) {
  std::error_code error;
  std::vector<fs::path> partial;
  for (const auto& entry : fs::directory_iterator(folder_, error))
    if (entry.path().filename().string().ends_with(kPartial)) partial.push_back(entry.path());
  for (const auto& path : partial) fs::remove_all(path, error);
}

fs::path CheckpointStore::folder_of(int64_t step) const {
  char name[32];
  std::snprintf(name, sizeof name, "step-%08lld", static_cast<long long>(step));
  return folder_ / name;
}

std::vector<int64_t> CheckpointStore::steps() const {
  std::vector<int64_t> steps;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder_, error)) {
    const std::string name = entry.path().filename().string();
    int64_t step = 0;
    const char* end = name.data() + name.size();
    if (!name.starts_with(kPrefix)) continue;
    const auto parsed = std::from_chars(name.data() + kPrefix.size(), end, step);
    if (parsed.ec == std::errc() && parsed.ptr == end) steps.push_back(step);
  }
  std::ranges::sort(steps);
  return steps;
}

void CheckpointStore::save(int64_t step, const TrainState& state) {
  const fs::path target = folder_of(step);
  fs::path partial = target;
  partial += kPartial;
  std::error_code ignored;
  fs::remove_all(partial, ignored);
  try {
    write_tensors(partial / kTensors, state);
    write_file_atomically(partial / kValues,
                          json{{"values", state.values}, {"aliases", state.aliases}}.dump() + "\n");
    const std::string manifest = json{{"format", kFormat},
                                      {"step", step},
                                      {"files",
                                       {{kTensors, file_record(partial / kTensors)},
                                        {kValues, file_record(partial / kValues)}}}}
                                     .dump(2) +
                                 "\n";
    write_file_atomically(partial / kManifest, manifest);
    write_file_atomically(partial / kComplete, fingerprint(manifest) + "\n");
  } catch (const IoError& error) {
    fs::remove_all(partial, ignored);
    throw IoError(
        "the checkpoint of step " + std::to_string(step) + " could not be written: " + error.what(),
        last_good_.empty() ? error.remedy() : "free some space; " + last_good_ + " is intact");
  }
  fs::remove_all(target, ignored);
  fs::rename(partial, target);
  sync_folder(folder_);
  last_good_ = target.string();
  remove_old();
}

void CheckpointStore::remove_old() const {
  const auto known = steps();
  std::error_code ignored;
  for (size_t i = 0; i + static_cast<size_t>(keep_) < known.size(); ++i)
    fs::remove_all(folder_of(known[i]), ignored);
}

std::optional<Checkpoint> CheckpointStore::newest() const {
  auto known = steps();
  std::string fault;
  for (; !known.empty(); known.pop_back()) try {
      auto checkpoint = read_checkpoint(folder_of(known.back()), known.back());
      last_good_ = checkpoint.folder.string();
      return checkpoint;
    } catch (const std::exception& error) {
      fault = error.what();
      core_log().warn("checkpoint " + folder_of(known.back()).string() +
                      " is passed over: " + fault);
    }
  if (!fault.empty())
    throw DataError("no checkpoint in " + folder_.string() + " is sound: " + fault,
                    "restore one, or delete the folder to train from the beginning");
  return std::nullopt;
}

}  // namespace qtk::train
