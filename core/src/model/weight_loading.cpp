#include "model/weight_loading.hpp"

#include "base/logging.hpp"
#include "base/nearest_name.hpp"

#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>

#include <algorithm>
#include <set>

namespace qtk::model {
namespace {

constexpr std::string_view kAgain =
    "fetch the model folder again, or check that config.json belongs to these weights";

/// The name under which the folder holds a tensor; empty if it does not.
std::string stored_name(const format::TensorFolder& folder, const Family& family,
                        const DecoderConfig& config, const TensorSlot& slot) {
  if (folder.has(slot.name)) return slot.name;
  // Checkpoints of the bare base model lack its prefix.
  const auto bare =
      slot.name.starts_with(family.base_prefix) ? slot.name.substr(family.base_prefix.size()) : "";
  if (!bare.empty() && folder.has(bare)) return bare;
  const auto head = base_part_name(family, family.head) + ".weight";
  const bool is_embedding = slot.name == base_part_name(family, family.embedding) + ".weight";
  return is_embedding && config.is_tied && folder.has(head) ? head : "";
}

void check_tensor(const format::TensorFolder& folder, const std::string& name,
                  const TensorSlot& slot) {
  const auto& info = folder.info(name);
  static const std::set<at::ScalarType> dense = {at::kFloat, at::kDouble, at::kHalf, at::kBFloat16};
  if (!dense.contains(info.dtype))
    throw DataError(
        folder.folder().string() + ": tensor '" + name + "' has dtype " +
            c10::toString(info.dtype) + ", expected a float of 16, 32 or 64 bits",
        "use the model in its dense form; packed models are opened through the run that made them");
  if (info.shape != slot.shape)
    throw DataError(folder.folder().string() + ": tensor '" + name + "' has shape " +
                        format::shape_text(info.shape) + ", but config.json makes it " +
                        format::shape_text(slot.shape),
                    std::string(kAgain));
}

[[noreturn]] void fail_missing(const format::TensorFolder& folder,
                               const std::vector<std::string>& missing) {
  constexpr size_t kListed = 20;
  std::vector<std::string> listed(missing.begin(),
                                  missing.begin() + std::min(missing.size(), kListed));
  if (missing.size() > kListed)
    listed.push_back("and " + std::to_string(missing.size() - kListed) + " more");
  throw DataError(folder.folder().string() + " lacks " + std::to_string(missing.size()) +
                      (missing.size() == 1 ? " tensor: " : " tensors: ") + join(listed),
                  std::string(kAgain));
}

/// A tied model may store its head all the same, but then with the same numbers.
void check_tied_head(const format::TensorFolder& folder, const Family& family,
                     const at::Tensor& embedding) {
  const auto head = base_part_name(family, family.head) + ".weight";
  if (!folder.has(head)) return;
  const auto stored = folder.tensor(head);
  if (stored.scalar_type() != embedding.scalar_type() || !stored.equal(embedding))
    throw DataError(
        folder.folder().string() + ": tensor '" + head + "' differs from the embedding, although " +
            "tie_word_embeddings is true",
        "set tie_word_embeddings to false in config.json if the model has a head of its own");
}

/// A tied head is the embedding, so whoever has the one holds the other.
bool is_held(const TensorSlot& slot, const DecoderConfig& config, const std::string& embedding,
             const std::optional<ModelPart>& part) {
  if (!part) return true;
  switch (slot.place) {
    case SlotPlace::kBlock:
      return slot.layer >= part->first_layer && slot.layer < part->last_layer;
    case SlotPlace::kHead:
      return part->has_head;
    case SlotPlace::kEmbedding:
      return part->has_embedding || (part->has_head && config.is_tied && slot.name == embedding);
  }
  return false;
}

at::Tensor placed(const at::Tensor& tensor, const LoadOptions& options) {
  const auto dtype = options.dtype.value_or(tensor.scalar_type());
  const auto moved = tensor.to(options.device, dtype);
  return options.is_writable && moved.is_same(tensor) ? tensor.clone() : moved;
}

void note_unused(const format::TensorFolder& folder, const std::set<std::string>& used) {
  std::vector<std::string> unused;
  for (const auto& info : folder.tensors())
    if (!used.contains(info.name)) unused.push_back(info.name);
  if (!unused.empty())
    core_log().debug("tensors of " + folder.folder().string() +
                     " that the model does not use: " + join(unused));
}

}  // namespace

std::map<std::string, at::Tensor> load_weights(const format::TensorFolder& folder,
                                               const Family& family, const DecoderConfig& config,
                                               const LoadOptions& options) {
  std::map<std::string, at::Tensor> weights;
  std::set<std::string> used;
  std::vector<std::string> missing;
  std::vector<std::pair<std::string, std::string>> found;  // name in the layout, name in the folder
  const auto embedding = base_part_name(family, family.embedding) + ".weight";
  for (const auto& slot : tensor_layout(family, config)) {
    if (!is_held(slot, config, embedding, options.part)) continue;
    if (!slot.site.empty() && options.is_packed && options.is_packed(slot.site)) continue;
    const auto name = stored_name(folder, family, config, slot);
    if (name.empty()) {
      missing.push_back(slot.name);
      continue;
    }
    check_tensor(folder, name, slot);
    used.insert(name);
    found.emplace_back(slot.name, name);
  }
  if (!missing.empty()) fail_missing(folder, missing);

  for (const auto& [name, stored] : found) {
    const auto tensor = folder.tensor(stored);
    if (name == embedding && config.is_tied) check_tied_head(folder, family, tensor);
    weights[name] = placed(tensor, options);
  }
  if (!options.part) note_unused(folder, used);
  return weights;
}

}  // namespace qtk::model
