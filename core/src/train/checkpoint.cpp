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

constexpr int64_t kCheckpointFormat = 1;
constexpr const char* kManifest = "manifest.json";
constexpr const char* kComplete = "COMPLETE";
constexpr std::string_view kPrefix = "step-";
constexpr std::string_view kPartial = ".partial";

std::string part_name(int part, const char* ending) {
  return (part == 0 ? std::string("state") : "state-" + std::to_string(part)) + ending;
}
std::string tensors_name(int part) { return part_name(part, ".safetensors"); }
std::string values_name(int part) { return part_name(part, ".json"); }

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
  std::error_code error;
  const auto bytes = fs::file_size(path, error);
  if (error) throw DataError(path.string() + " cannot be read: " + error.message());
  return {{"bytes", bytes}, {"xxh3", fingerprint_file(path)}};
}

TrainState read_part(const fs::path& folder, int part) {
  TrainState state;
  const auto file = format::SafetensorsFile::open(folder / tensors_name(part));
  for (const auto& info : file.tensors()) state.tensors[info.name] = file.tensor(info.name);
  const json content = json::parse(read_text_file(folder / values_name(part)));
  state.values = content.at("values");
  state.aliases = content.at("aliases").get<std::map<std::string, std::string>>();
  return state;
}

/// Throws DataError that says what is wrong with a folder.
Checkpoint read_checkpoint(const fs::path& folder, int64_t step) {
  const std::string manifest_text = read_text_file(folder / kManifest);
  if (read_text_file(folder / kComplete) != fingerprint(manifest_text) + "\n")
    throw DataError((folder / kManifest).string() + " is damaged");
  const json manifest = format::parse_strict_json(manifest_text, (folder / kManifest).string());
  if (manifest.value("format", int64_t{0}) != kCheckpointFormat)
    throw DataError(folder.string() + " has format " +
                    std::to_string(manifest.value("format", int64_t{0})) + ", expected " +
                    std::to_string(kCheckpointFormat));
  Checkpoint checkpoint{step, folder, {}};
  const json& files = manifest.at("files");
  for (const auto& [name, record] : files.items())
    if (file_record(folder / name) != record)
      throw DataError((folder / name).string() + " is damaged: its hash is not the manifest's");
  for (int part = 0; files.contains(tensors_name(part)); ++part)
    checkpoint.state.merge(read_part(folder, part));
  return checkpoint;
}

}  // namespace

Checkpoints::~Checkpoints() = default;

CheckpointStore::CheckpointStore(fs::path folder, int64_t keep)
    : folder_(std::move(folder)), keep_(keep) {}

void CheckpointStore::remove_leftovers() const {
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

fs::path CheckpointStore::partial_of(int64_t step) const {
  fs::path partial = folder_of(step);
  partial += kPartial;
  return partial;
}

void CheckpointStore::fail(int64_t step, const Error& error) const {
  throw IoError(
      "the checkpoint of step " + std::to_string(step) + " could not be written: " + error.what(),
      last_good_.empty() ? error.remedy() : "free some space; " + last_good_ + " is intact");
}

void CheckpointStore::begin(int64_t step) {
  std::error_code ignored;
  fs::remove_all(partial_of(step), ignored);
}

void CheckpointStore::write_part(int64_t step, int part, const TrainState& state) {
  const fs::path partial = partial_of(step);
  try {
    write_tensors(partial / tensors_name(part), state);
    write_file_atomically(partial / values_name(part),
                          json{{"values", state.values}, {"aliases", state.aliases}}.dump() + "\n");
  } catch (const IoError& error) {
    std::error_code ignored;
    fs::remove_all(partial, ignored);
    fail(step, error);
  }
}

void CheckpointStore::commit(int64_t step, int parts) {
  const fs::path target = folder_of(step), partial = partial_of(step);
  std::error_code ignored;
  try {
    json files = json::object();
    for (int part = 0; part < parts; ++part)
      for (const auto& name : {tensors_name(part), values_name(part)})
        files[name] = file_record(partial / name);
    const std::string manifest =
        json{{"format", kCheckpointFormat}, {"step", step}, {"files", files}}.dump(2) + "\n";
    write_file_atomically(partial / kManifest, manifest);
    write_file_atomically(partial / kComplete, fingerprint(manifest) + "\n");
  } catch (const Error& error) {
    fs::remove_all(partial, ignored);
    fail(step, error);
  }
  fs::remove_all(target, ignored);
  fs::rename(partial, target);
  sync_folder(folder_);
  last_good_ = target.string();
  remove_old();
}

void CheckpointStore::save(int64_t step, const TrainState& state) {
  begin(step);
  write_part(step, 0, state);
  commit(step, 1);
}

void CheckpointStore::remove_old() const {
  const auto known = steps();
  std::error_code ignored;
  for (size_t i = 0; i + static_cast<size_t>(keep_) < known.size(); ++i)
    fs::remove_all(folder_of(known[i]), ignored);
}

Checkpoint CheckpointStore::read(int64_t step) {
  auto checkpoint = read_checkpoint(folder_of(step), step);
  last_good_ = checkpoint.folder.string();
  return checkpoint;
}

std::optional<Checkpoint> CheckpointStore::newest() {
  remove_leftovers();
  auto known = steps();
  std::string fault;
  for (; !known.empty(); known.pop_back()) try {
      return read(known.back());
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
