#include "stage/import_gguf.hpp"

#include "base/atomic_file.hpp"
#include "base/interrupt.hpp"
#include "base/nearest_name.hpp"
#include "base/progress.hpp"
#include "format/gguf.hpp"
#include "format/safetensors.hpp"
#include "model/gguf_layout.hpp"
#include "text/gguf_tokenizer.hpp"

#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

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
std::vector<GgufTensorRule> rules_in(const format::GgufFile& file, std::vector<GgufTensorRule> layout) {
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
    throw DataError(file.path().string() + ": missing tensors: " + shown(missing), "the file is damaged or incomplete");
  if (!surplus.empty())
    throw DataError(file.path().string() + ": tensors that this architecture does not have: " + shown(surplus),
                    "the model is a variant that qtk does not know");
  return layout;
}

int64_t write_weights(const format::GgufFile& file, const std::vector<GgufTensorRule>& rules, const fs::path& folder,
                      at::ScalarType dtype, ImportedModel& imported) {
  std::vector<format::TensorInfo> infos;
  std::map<std::string, const GgufTensorRule*> rule_of;
  for (const auto& rule : rules) {
    const auto& tensor = file.info(rule.gguf);
    if (rule.is_transposed && tensor.shape.size() != 2)
      throw DataError(file.path().string() + ": " + rule.gguf + " has " + std::to_string(tensor.shape.size()) +
                          " dimensions, expected 2",
                      "the file is damaged");
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
    return model::from_gguf_order(file.dequantize(rule.gguf), rule).to(dtype);
  };
  for (auto& path : format::write_tensor_folder(folder, infos, produce)) imported.files.push_back(std::move(path));
  return imported.tensor_bytes;
}

/// config.json beside the weights, checked by reading it as any model's before the weights are written.
model::DecoderConfig write_config(const nlohmann::json& config, const fs::path& folder) {
  write_file_atomically(folder / "config.json", config.dump(2) + "\n");
  return model::read_decoder_config(folder);
}

}  // namespace

ImportedModel import_gguf(const fs::path& path, const fs::path& folder, at::ScalarType dtype) {
  const auto file = format::GgufFile::open(path);
  const auto shape_of = [&](std::string_view name) {
    return file.has(name) ? file.info(name).shape : std::vector<int64_t>{};
  };
  const auto frequencies = file.has(kRopeFrequencies) ? file.dequantize(kRopeFrequencies) : at::Tensor();
  auto config = model::config_from_gguf(file.metadata(), shape_of, frequencies);
  config["torch_dtype"] = dtype == at::kHalf ? "float16" : dtype == at::kBFloat16 ? "bfloat16" : "float32";

  std::error_code ignored;
  ImportedModel imported;
  try {
    const auto decoder_config = write_config(config, folder);
    const auto& family = *model::find_family(decoder_config.model_type);
    const auto rules = rules_in(file, model::gguf_layout(family, decoder_config));
    fs::remove(folder / "config.json", ignored);
    write_weights(file, rules, folder, dtype, imported);
    text::write_tokenizer_files(file.metadata(), folder);
    write_config(config, folder);
  } catch (...) {
    fs::remove(folder / "config.json", ignored);
    throw;
  }
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".json") imported.files.push_back(entry.path());
  return imported;
}

}  // namespace qtk::stage
