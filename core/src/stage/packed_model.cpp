#include "stage/packed_model.hpp"

#include "base/atomic_file.hpp"
#include "base/interrupt.hpp"
#include "base/progress.hpp"
#include "format/safetensors.hpp"
#include "format/strict_json.hpp"
#include "model/family.hpp"
#include "model/tensor_layout.hpp"
#include "stage/stored_dtype.hpp"

#include <qtk/runtime/check.hpp>

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include <charconv>
#include <set>

namespace qtk::stage {
namespace {

namespace fs = std::filesystem;
using format::TensorInfo;
using nlohmann::json;

using SiteNames = std::set<std::string, std::less<>>;

constexpr const char* kOutcomesKey = "qtk.outcomes";

json read_config(const fs::path& folder) {
  const fs::path file = folder / "config.json";
  return format::parse_strict_json(read_text_file(file), file.string());
}

/// Number of the block a parameter belongs to, or -1.
int64_t block_of(const std::string& name, std::string_view layer_prefix) {
  const size_t at = name.find(layer_prefix);
  if (at == std::string::npos || (at > 0 && name[at - 1] != '.')) return -1;
  int64_t block = -1;
  const char* digits = name.data() + at + layer_prefix.size();
  std::from_chars(digits, name.data() + name.size(), block);
  return block;
}

fs::path shard_path(const fs::path& folder, int64_t number, int64_t count) {
  char name[64];
  std::snprintf(name, sizeof name, "model-%05d-of-%05d.safetensors", static_cast<int>(number),
                static_cast<int>(count));
  return folder / name;
}

struct StoredTensor {
  std::string name;
  at::Tensor value;
};

json outcome_json(const SiteOutcome& outcome) {
  return {outcome.site, outcome.relative_error, outcome.storage_bits};
}
SiteOutcome outcome_from(const json& value) { return {value.at(0), value.at(1), value.at(2)}; }

/// Quantizes one site; its tensors are appended to `tensors`.
SiteOutcome quantize_site(const model::Decoder& decoder, Quantizer& quantizer, int64_t index,
                          std::vector<StoredTensor>& tensors) {
  const LinearSite& site = decoder.sites()[static_cast<size_t>(index)];
  const auto dense = decoder.dense_weight(index).to(at::kFloat).contiguous();
  // A trained layer stands in its place already.
  const QuantizedLinear* layer = decoder.attached(index);
  std::unique_ptr<QuantizedLinear> fresh;
  if (!layer) {
    fresh = quantizer.attach(site, {dense, decoder.bias(index), {}});
    layer = fresh.get();
  }
  PackedWeight packed = layer->pack();
  QTK_CHECK(packed.storage_bits() == quantizer.storage_bits(site), "the quantizer announced ",
            quantizer.storage_bits(site), " bits for ", site.name, " and packed ",
            packed.storage_bits());
  const double norm = dense.norm().item<double>();
  const double error = (layer->weight().to(dense.device()) - dense).norm().item<double>();
  const SiteOutcome outcome{index, norm > 0 ? error / norm : 0, packed.storage_bits()};
  for (auto& [name, tensor] : packed.tensors)
    tensors.push_back({site.name + "." + name, std::move(tensor)});
  return outcome;
}

void write_shard(const fs::path& path, const std::vector<StoredTensor>& tensors,
                 const std::vector<SiteOutcome>& outcomes) {
  std::vector<TensorInfo> infos;
  for (const auto& [name, value] : tensors)
    infos.push_back({name, value.scalar_type(), value.sizes().vec()});
  json list = json::array();
  for (const auto& outcome : outcomes) list.push_back(outcome_json(outcome));
  format::SafetensorsWriter writer(path, infos, {{"format", "pt"}, {kOutcomesKey, list.dump()}});
  for (const auto& [name, value] : tensors) writer.write(name, value);
  writer.commit();
}

/// What an earlier process finished of this shard, or nothing if it is missing or damaged.
std::optional<std::vector<SiteOutcome>> finished_shard(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error)) return std::nullopt;
  try {
    const auto file = format::SafetensorsFile::open(path);
    std::vector<SiteOutcome> outcomes;
    for (const auto& value : json::parse(file.metadata().at(kOutcomesKey)))
      outcomes.push_back(outcome_from(value));
    return outcomes;
  } catch (const std::exception&) {
    return std::nullopt;  // written by something else, or torn by a failing disk: made again
  }
}

void write_index(const fs::path& folder, int64_t num_shards) {
  json map = json::object();
  int64_t bytes = 0;
  for (int64_t number = 1; number <= num_shards; ++number) {
    const fs::path path = shard_path(folder, number, num_shards);
    const auto file = format::SafetensorsFile::open(path);
    for (const auto& info : file.tensors()) {
      map[info.name] = path.filename().string();
      bytes += info.nbytes();
    }
  }
  const json index = {{"metadata", {{"total_size", bytes}}}, {"weight_map", std::move(map)}};
  write_file_atomically(folder / "model.safetensors.index.json", index.dump(2) + "\n");
}

SiteNames names_of(const QuantizerPlan& plan, const std::vector<LinearSite>& sites) {
  SiteNames names;
  for (const auto& group : plan.groups)
    for (const int64_t site : group.sites) names.insert(sites[static_cast<size_t>(site)].name);
  return names;
}

/// The sites of a model, from its configuration alone.
std::vector<LinearSite> sites_of(const json& config, const fs::path& file) {
  const auto decoder = model::read_decoder_config(config, file);
  return model::linear_sites(*model::find_family(decoder.model_type), decoder);
}

std::unique_ptr<QuantizedLinear> unpack(Quantizer& quantizer, const LinearSite& site,
                                        PackedWeight packed, const at::Tensor& bias,
                                        const fs::path& folder) {
  try {
    return quantizer.unpack(site, std::move(packed), bias);
  } catch (const DataError& error) {
    throw DataError(folder.string() + ": " + site.name + ": " + error.what(), error.remedy());
  }
}

/// Tensors "<site>.<name>", by site; names of packed tensors have no dots.
std::map<std::string, PackedWeight> packed_weights_of(const format::TensorFolder& stored,
                                                      const SiteNames& sites) {
  std::map<std::string, PackedWeight> weights;
  for (const auto& info : stored.tensors()) {
    const size_t dot = info.name.rfind('.');
    const std::string site = info.name.substr(0, dot);
    if (dot == std::string::npos || !sites.contains(site) || info.name.ends_with(".bias")) continue;
    weights[site].tensors[info.name.substr(dot + 1)] = stored.tensor(info.name).contiguous();
  }
  return weights;
}

void attach_packed_layers(OpenModel& opened, const fs::path& folder, const SiteNames& names) {
  auto weights = packed_weights_of(format::TensorFolder::open(folder), names);
  for (auto& group : opened.plan.groups) {
    for (const int64_t index : group.sites) {
      const LinearSite& site = opened.decoder->sites()[static_cast<size_t>(index)];
      PackedWeight packed = std::move(weights[site.name]);
      opened.packed_bits += packed.storage_bits();
      opened.packed_weights += site.numel();
      opened.decoder->attach(index, unpack(*group.quantizer, site, std::move(packed),
                                           opened.decoder->bias(index), folder));
    }
  }
  opened.decoder->fuse([&](int64_t site) { return opened.plan.quantizer_of(site); });
}

}  // namespace

OpenModel open_model(const fs::path& folder, const model::LoadOptions& options,
                     RunContext& context) {
  const json config = read_config(folder);
  const json quantization = config.value("quantization_config", json(nullptr));
  if (!quantization.is_null() &&
      (!quantization.is_object() || quantization.value("quant_method", "") != "qtk"))
    throw DataError((folder / "config.json").string() + ": the weights are quantized by '" +
                        (quantization.is_object() ? quantization.value("quant_method", "?") : "?") +
                        "', expected dense ones or qtk's own",
                    "open the dense model, or a folder that `qtk run` made");
  model::LoadOptions load = options;
  SiteNames packed_sites;
  OpenModel opened;
  if (quantization.is_object()) {
    const auto sites = sites_of(config, folder / "config.json");
    opened.plan = plan_from_json(quantization, (folder / "config.json").string(), sites, context);
    packed_sites = names_of(opened.plan, sites);
    load.is_packed = [&packed_sites](std::string_view site) { return packed_sites.contains(site); };
  }
  opened.decoder = model::Decoder::load(folder, load);
  const auto stored = format::TensorFolder::open(folder);
  for (const auto& info : stored.tensors()) opened.tensor_bytes += info.nbytes();
  if (quantization.is_object()) attach_packed_layers(opened, folder, packed_sites);
  return opened;
}

std::vector<SiteOutcome> write_packed_model(const fs::path& source, const model::Decoder& decoder,
                                            const QuantizerPlan& plan, const fs::path& folder,
                                            c10::optional<at::ScalarType> rest_dtype,
                                            const std::string& label) {
  const auto& sites = decoder.sites();
  const auto layer_prefix = model::find_family(decoder.config().model_type)->layer_prefix;
  std::map<std::string, int64_t> site_of;
  for (const auto& site : sites) site_of[site.name + ".weight"] = site.index;
  std::map<int64_t, std::vector<model::NamedParameter>> parameters_of;
  for (auto& parameter : decoder.parameters())
    parameters_of[block_of(parameter.name, layer_prefix)].push_back(std::move(parameter));

  std::vector<SiteOutcome> outcomes;
  const auto num_shards = static_cast<int64_t>(parameters_of.size());
  Progress progress(label, plan.num_sites(), "layer");
  int64_t number = 0;
  for (const auto& [block, parameters] : parameters_of) {
    stop_if_interrupted();
    const fs::path path = shard_path(folder, ++number, num_shards);
    auto finished = finished_shard(path);
    if (!finished) {
      finished.emplace();
      std::vector<StoredTensor> tensors;
      for (const auto& parameter : parameters) {
        const auto site = site_of.find(parameter.name);
        Quantizer* quantizer = site == site_of.end() ? nullptr : plan.quantizer_of(site->second);
        if (quantizer)
          finished->push_back(quantize_site(decoder, *quantizer, site->second, tensors));
        else
          tensors.push_back(
              {parameter.name, stored_as(rest_dtype.value_or(parameter.tensor.scalar_type()),
                                         parameter.tensor, parameter.name)});
      }
      write_shard(path, tensors, *finished);
    }
    outcomes.insert(outcomes.end(), finished->begin(), finished->end());
    progress.advance(static_cast<int64_t>(finished->size()));
  }
  std::ranges::sort(outcomes, {}, &SiteOutcome::site);
  write_index(folder, num_shards);
  copy_companions(source, folder);
  json config = read_config(source);
  if (!plan.groups.empty()) config["quantization_config"] = plan.to_json(sites);
  write_file_atomically(folder / "config.json", config.dump(2) + "\n");
  return outcomes;
}

nlohmann::json outcomes_json(const std::vector<SiteOutcome>& outcomes,
                             const std::vector<LinearSite>& sites) {
  nlohmann::json list = json::array();
  for (const auto& outcome : outcomes) {
    const auto& site = sites[static_cast<size_t>(outcome.site)];
    list.push_back({{"site", site.name},
                    {"block", site.block},
                    {"role", site.role},
                    {"relative_error", outcome.relative_error},
                    {"bits", outcome.storage_bits},
                    {"weights", site.numel()}});
  }
  return list;
}

void copy_companions(const fs::path& source, const fs::path& folder) {
  for (const auto& entry : fs::directory_iterator(source)) {
    const std::string name = entry.path().filename().string();
    const bool is_weight = name.ends_with(".safetensors") ||
                           name.ends_with(".safetensors.index.json") || name.ends_with(".bin") ||
                           name.ends_with(".pth") || name.ends_with(".gguf");
    if (entry.is_regular_file() && !is_weight && name != "config.json" && !name.starts_with("."))
      copy_file_atomically(entry.path(), folder / name);
  }
}

}  // namespace qtk::stage
