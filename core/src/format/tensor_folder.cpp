// Model folders: one safetensors file, or shards with an index that says which tensor lies where.
#include "base/nearest_name.hpp"
#include "format/safetensors.hpp"
#include "format/strict_json.hpp"

#include <qtk/runtime/check.hpp>
#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <set>

namespace qtk::format {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kIndexFile = "model.safetensors.index.json";
constexpr int64_t kMaxIndexBytes = 32 << 20;

/// Names of the files of `folder` that `keep` accepts, sorted.
std::vector<std::string> files_of(const fs::path& folder, bool (*keep)(const fs::path&)) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error))
    if (keep(entry->path())) names.push_back(entry->path().filename().string());
  std::ranges::sort(names);
  return names;
}

bool is_pickle(const fs::path& path) {
  const auto extension = path.extension();
  return extension == ".bin" || extension == ".pth" || extension == ".pt";
}

bool is_weight_file(const fs::path& path) {
  return path.extension() == ".safetensors" || path.filename() == kIndexFile;
}

[[noreturn]] void refuse_folder(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error))
    throw DataError(folder.string() + " is not a folder",
                    "give the folder that holds config.json and the weights");
  if (const auto pickles = files_of(folder, is_pickle); !pickles.empty())
    throw DataError(folder.string() + " holds weights as Python pickles only (" + join(pickles) +
                        "), which may run code when loaded",
                    "convert them on a trusted machine: load them in Python with weights_only=True "
                    "and save them with "
                    "safetensors.torch.save_file as model.safetensors");
  const auto others = files_of(folder, is_weight_file);
  throw DataError(folder.string() + " holds neither " + kSingleFile + " nor " + kIndexFile +
                      (others.empty() ? "" : ", only " + join(others)),
                  "check that the folder was fetched completely");
}

using WeightMap = std::map<std::string, std::string>;  // tensor -> file

WeightMap read_index(const fs::path& path) {
  const auto refuse = [&](const std::string& what) {
    throw DataError(path.string() + ": " + what, "fetch the index again");
  };
  const json index = parse_strict_json(read_text_file(path, kMaxIndexBytes), path.string());
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object())
    refuse("expected an object with the object 'weight_map'");
  WeightMap map;
  for (const auto& [tensor, file] : index["weight_map"].items()) {
    if (!file.is_string()) refuse("weight_map '" + tensor + "' is not text");
    const auto name = file.get<std::string>();
    // An index must not make the reader leave the folder.
    if (name.empty() || fs::path(name).filename() != name || name == "..")
      refuse("weight_map '" + tensor + "' names '" + name +
             "', expected a file name without folders");
    map.emplace(tensor, name);
  }
  if (map.empty()) refuse("weight_map names no tensor");
  return map;
}

void check_shards_exist(const fs::path& folder, const std::set<std::string>& shards) {
  std::vector<std::string> missing;
  for (const std::string& shard : shards)
    if (std::error_code error; !fs::is_regular_file(folder / shard, error))
      missing.push_back(shard);
  if (!missing.empty())
    throw DataError(folder.string() + ": " + std::to_string(missing.size()) + " of " +
                        std::to_string(shards.size()) + " shards named by " + kIndexFile +
                        " are missing: " + join(missing),
                    "fetch the missing files");
}

/// Both must name the same tensors, in the same places.
void check_against_index(const WeightMap& map, const std::vector<SafetensorsFile>& files,
                         const fs::path& folder) {
  WeightMap found;
  for (const SafetensorsFile& file : files) {
    const auto shard = file.path().filename().string();
    for (const TensorInfo& tensor : file.tensors()) {
      const auto [other, is_new] = found.emplace(tensor.name, shard);
      if (!is_new)
        throw DataError(folder.string() + ": tensor '" + tensor.name + "' is in " + other->second +
                            " and in " + shard,
                        "fetch the folder again");
      const auto expected = map.find(tensor.name);
      if (expected == map.end() || expected->second != shard)
        throw DataError(folder.string() + ": tensor '" + tensor.name + "' is in " + shard +
                            ", but " + kIndexFile +
                            (expected == map.end() ? " does not name it"
                                                   : " expects it in " + expected->second),
                        "shards and index do not belong together: fetch the folder again");
    }
  }
  for (const auto& [tensor, shard] : map)
    if (!found.contains(tensor))
      throw DataError(folder.string() + ": " + kIndexFile + " expects the tensor '" + tensor +
                          "' in " + shard + ", which does not hold it",
                      "shards and index do not belong together: fetch the folder again");
}

std::string shard_name(size_t index, size_t count) {
  char name[64];
  std::snprintf(name, sizeof(name), "model-%05zu-of-%05zu.safetensors", index + 1, count);
  return name;
}

std::vector<std::vector<TensorInfo>> fill_shards(const std::vector<TensorInfo>& tensors,
                                                 int64_t shard_bytes) {
  std::vector<std::vector<TensorInfo>> shards(1);
  std::set<std::string_view> names;
  int64_t filled = 0;
  for (const TensorInfo& tensor : tensors) {
    QTK_CHECK(names.insert(tensor.name).second, "the tensor name '", tensor.name,
              "' is used twice");
    if (!shards.back().empty() && filled + tensor.nbytes() > shard_bytes) {
      shards.emplace_back();
      filled = 0;
    }
    filled += tensor.nbytes();
    shards.back().push_back(tensor);
  }
  for (auto& shard : shards)
    std::ranges::stable_sort(shard, std::ranges::greater(), [](const TensorInfo& tensor) {
      return c10::elementSize(tensor.dtype);
    });
  return shards;
}

void refuse_leftovers(const fs::path& folder, const std::set<std::string>& names) {
  std::vector<std::string> leftovers;
  for (const std::string& file : files_of(folder, is_weight_file))
    if (!names.contains(file)) leftovers.push_back(file);
  if (!leftovers.empty())
    throw DataError(
        folder.string() + " already holds weights of another layout: " + join(leftovers),
        "choose an empty folder, or remove these files");
}

}  // namespace

TensorFolder TensorFolder::open(const fs::path& folder) {
  TensorFolder result;
  result.folder_ = folder;
  std::error_code error;
  if (fs::is_regular_file(folder / kSingleFile, error)) {
    result.files_.push_back(SafetensorsFile::open(folder / kSingleFile));
  } else if (fs::is_regular_file(folder / kIndexFile, error)) {
    const auto map = read_index(folder / kIndexFile);
    std::set<std::string> shards;
    for (const auto& [tensor, shard] : map) shards.insert(shard);
    check_shards_exist(folder, shards);
    for (const std::string& shard : shards)
      result.files_.push_back(SafetensorsFile::open(folder / shard));
    check_against_index(map, result.files_, folder);
  } else {
    refuse_folder(folder);
  }
  for (size_t i = 0; i < result.files_.size(); ++i) {
    result.file_bytes_ += static_cast<int64_t>(fs::file_size(result.files_[i].path()));
    for (const TensorInfo& tensor : result.files_[i].tensors()) {
      result.tensors_.push_back(tensor);
      result.file_of_.emplace(tensor.name, i);
    }
  }
  return result;
}

bool TensorFolder::has(std::string_view name) const {
  return file_of_.find(name) != file_of_.end();
}

const SafetensorsFile& TensorFolder::file_with(std::string_view name) const {
  if (const auto found = file_of_.find(name); found != file_of_.end()) return files_[found->second];
  std::vector<std::string> names;
  for (const TensorInfo& tensor : tensors_) names.push_back(tensor.name);
  const auto nearest = nearest_name(name, names);
  throw DataError(
      folder_.string() + " has no tensor '" + std::string(name) + "'",
      nearest.empty() ? "check that the model fits" : "did you mean '" + nearest + "'?");
}

at::Tensor TensorFolder::tensor(std::string_view name) const {
  return file_with(name).tensor(name);
}

const TensorInfo& TensorFolder::info(std::string_view name) const {
  return file_with(name).info(name);
}

std::vector<fs::path> write_tensor_folder(
    const fs::path& folder, const std::vector<TensorInfo>& tensors,
    const std::function<at::Tensor(const TensorInfo&)>& tensor,
    const TensorFolderOptions& options) {
  const auto shards = fill_shards(tensors, options.shard_bytes);
  const bool is_sharded = shards.size() > 1;
  std::vector<std::string> names;
  for (size_t i = 0; i < shards.size(); ++i)
    names.push_back(is_sharded ? shard_name(i, shards.size()) : kSingleFile);
  std::set<std::string> layout(names.begin(), names.end());
  if (is_sharded) layout.insert(kIndexFile);
  refuse_leftovers(folder, layout);

  std::error_code error;
  fs::remove(folder / kIndexFile, error);
  std::vector<fs::path> written;
  json index = {{"metadata", {{"total_size", 0}}}, {"weight_map", json::object()}};
  int64_t total = 0;
  for (size_t i = 0; i < shards.size(); ++i) {
    SafetensorsWriter writer(folder / names[i], shards[i], options.metadata);
    for (const TensorInfo& info : shards[i]) {
      writer.write(info.name, tensor(info));
      index["weight_map"][info.name] = names[i];
    }
    writer.commit();
    total += writer.data_bytes();
    written.push_back(folder / names[i]);
  }
  if (is_sharded) {
    index["metadata"]["total_size"] = total;
    write_file_atomically(folder / kIndexFile, index.dump(2) + "\n");
    written.push_back(folder / kIndexFile);
  }
  return written;
}

}  // namespace qtk::format
