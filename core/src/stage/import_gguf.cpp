#include "stage/import_gguf.hpp"

#include "base/atomic_file.hpp"
#include "base/interrupt.hpp"
#include "base/nearest_name.hpp"
#include "base/progress.hpp"
#include "format/gguf.hpp"
#include "format/safetensors.hpp"
#include "model/gguf_layout.hpp"
#include "model/tensor_layout.hpp"
#include "stage/stored_dtype.hpp"
#include "text/gguf_tokenizer.hpp"

#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <set>

namespace qtk::stage {
namespace {

namespace fs = std::filesystem;
using model::GgufTensorRule;

/// Tensors that carry settings, not weights; config_from_gguf() has read them.
constexpr const char* kRopeFrequencies = "rope_freqs.weight";

std::vector<int64_t> stored_shape(std::vector<int64_t> shape, const GgufTensorRule& rule) {
  if (rule.is_transposed) std::swap(shape.at(0), shape.at(1));
  return shape;
}

/// The rules whose tensors the file has. Missing and surplus tensors are all named at once.
std::vector<GgufTensorRule> rules_in(const format::GgufFile& file,
                                     std::vector<GgufTensorRule> layout) {
  std::set<std::string> expected = {kRopeFrequencies};
  std::vector<std::string> missing, surplus;
  std::erase_if(layout, [&](const GgufTensorRule& rule) {
    expected.insert(rule.gguf);
    if (!file.has(rule.gguf) && !rule.is_optional) missing.push_back(rule.gguf);
    return !file.has(rule.gguf);
  });
  for (const auto& tensor : file.tensors())
    if (!expected.contains(tensor.name)) surplus.push_back(tensor.name);
  const auto shown = [](std::vector<std::string>& names) {
    const size_t count = names.size();
    names.resize(std::min<size_t>(count, 5));
    return join(names) + (count > 5 ? " and " + std::to_string(count - 5) + " more" : "");
  };
  if (!missing.empty())
    throw DataError(file.path().string() + ": missing tensors: " + shown(missing),
                    "the file is damaged or incomplete");
  if (!surplus.empty())
    throw DataError(
        file.path().string() + ": tensors that this architecture does not have: " + shown(surplus),
        "the model is a variant that qtk does not know");
  return layout;
}

void write_weights(const format::GgufFile& file, const std::vector<GgufTensorRule>& rules,
                   const fs::path& folder, at::ScalarType dtype, ImportedModel& imported) {
  std::vector<format::TensorInfo> infos;
  std::map<std::string, const GgufTensorRule*> rule_of;
  for (const auto& rule : rules) {
    const auto& tensor = file.info(rule.gguf);
    infos.push_back({rule.hugging_face, dtype, stored_shape(tensor.shape, rule)});
    rule_of[rule.hugging_face] = &rule;
    imported.num_weights += infos.back().numel();
    imported.tensor_bytes += infos.back().nbytes();
  }
  imported.num_tensors = static_cast<int64_t>(infos.size());
  Progress progress("import", imported.num_weights, "weight");
  const auto produce = [&](const format::TensorInfo& info) {
    stop_if_interrupted();
    const GgufTensorRule& rule = *rule_of.at(info.name);
    progress.advance(info.numel());
    return stored_as(dtype, model::from_gguf_order(file.dequantize(rule.gguf), rule), info.name);
  };
  format::write_tensor_folder(folder, infos, produce);
}

/// What config.json makes of each tensor, by Hugging Face name; a tied head may be stored all the
/// same.
std::map<std::string, std::vector<int64_t>> expected_shapes(const model::Family& family,
                                                            const model::DecoderConfig& config) {
  std::map<std::string, std::vector<int64_t>> shapes;
  for (auto& slot : model::tensor_layout(family, config)) shapes[slot.name] = std::move(slot.shape);
  shapes[std::string(family.head.hugging_face) + ".weight"] = {config.vocab_size,
                                                               config.hidden_size};
  return shapes;
}

void check_shapes(const format::GgufFile& file, const std::vector<GgufTensorRule>& rules,
                  const std::map<std::string, std::vector<int64_t>>& expected) {
  for (const auto& rule : rules) {
    const auto& stored = file.info(rule.gguf).shape;
    const auto known = expected.find(rule.hugging_face);
    if (known == expected.end())
      throw DataError(file.path().string() + ": tensor " + rule.gguf +
                          " has no place in a model of these settings",
                      "the model is a variant that qtk does not know");
    if (stored.size() != known->second.size() || stored_shape(stored, rule) != known->second)
      throw DataError(file.path().string() + ": tensor " + rule.gguf + " has shape " +
                          format::shape_text(stored) + ", but the file's settings make it " +
                          format::shape_text(stored_shape(known->second, rule)),
                      "the file is damaged");
  }
}

/// Everything is made in a folder of its own inside `folder` and moved into place at the end, so
/// that an import that fails leaves an older model there alone.
class StagedImport {
 public:
  explicit StagedImport(fs::path folder)
      : folder_(std::move(folder)),
        staging_(folder_ / (".import.tmp-" + std::to_string(::getpid()))),
        is_new_(!fs::exists(folder_)) {}
  ~StagedImport() {
    std::error_code ignored;
    fs::remove_all(staging_, ignored);
    if (is_new_ && !is_published_) fs::remove(folder_, ignored);
  }
  StagedImport(const StagedImport&) = delete;
  StagedImport& operator=(const StagedImport&) = delete;

  const fs::path& path() const { return staging_; }

  /// config.json goes first and comes last: without it the folder is not taken for a model.
  std::vector<fs::path> publish() {
    remove_old_model();
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(staging_))
      files.push_back(folder_ / entry.path().filename());
    std::ranges::sort(files);
    std::ranges::stable_partition(files, [](const fs::path& f) { return f.filename() != kConfig; });
    for (const auto& file : files) fs::rename(staging_ / file.filename(), file);
    sync_folder(folder_);
    is_published_ = true;
    return files;
  }

 private:
  static constexpr const char* kConfig = "config.json";

  void remove_old_model() const {
    fs::remove(folder_ / kConfig);
    std::vector<fs::path> old;
    for (const auto& entry : fs::directory_iterator(folder_)) {
      const std::string name = entry.path().filename().string();
      const bool is_stale = name.starts_with(".import.tmp-") && entry.path() != staging_;
      if (is_stale || name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json"))
        old.push_back(entry.path());
    }
    for (const auto& path : old) fs::remove_all(path);
  }

  fs::path folder_, staging_;
  bool is_new_, is_published_ = false;
};

ImportedModel import_file(const format::GgufFile& file, const fs::path& folder,
                          at::ScalarType dtype) {
  const auto shape_of = [&](std::string_view name) {
    return file.has(name) ? file.info(name).shape : std::vector<int64_t>{};
  };
  const auto frequencies =
      file.has(kRopeFrequencies) ? file.dequantize(kRopeFrequencies) : at::Tensor();
  auto config = model::config_from_gguf(file.metadata(), shape_of, frequencies);
  config["torch_dtype"] = hugging_face_dtype(dtype);
  const auto decoder_config = model::read_decoder_config(config, file.path());
  const auto& family = *model::find_family(decoder_config.model_type);
  const auto rules = rules_in(file, model::gguf_layout(family, decoder_config));
  check_shapes(file, rules, expected_shapes(family, decoder_config));

  ImportedModel imported;
  StagedImport staged(folder);
  write_weights(file, rules, staged.path(), dtype, imported);
  text::write_tokenizer_files(file.metadata(), staged.path());
  write_file_atomically(staged.path() / "config.json", config.dump(2) + "\n");
  imported.files = staged.publish();
  return imported;
}

}  // namespace

ImportedModel import_gguf(const fs::path& path, const fs::path& folder, at::ScalarType dtype) {
  const auto file = format::GgufFile::open(path);
  try {
    return import_file(file, folder, dtype);
  } catch (const DataError& error) {
    const std::string sentence = error.what();
    if (sentence.find(path.string()) != std::string::npos) throw;
    throw DataError(path.string() + ": " + sentence, error.remedy());
  }
}

}  // namespace qtk::stage
