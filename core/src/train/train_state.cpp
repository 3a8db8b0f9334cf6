#include "train/checkpoint.hpp"

#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>

#include <bit>

namespace qtk::train {
namespace {

std::string joined(const std::string& prefix, std::string_view name) {
  return prefix + std::string(name);
}

}  // namespace

void TrainState::put(const std::string& name, const at::Tensor& tensor) {
  if (tensors.contains(name) || aliases.contains(name))
    throw Error("state '" + name + "' was written twice");
  for (const auto& [known, other] : tensors)
    if (other.is_same(tensor)) {
      aliases[name] = known;
      return;
    }
  tensors[name] = tensor;
}

bool TrainState::has_tensor(const std::string& name) const {
  return tensors.contains(name) || aliases.contains(name);
}

std::vector<std::string> TrainState::names_from(const std::string& prefix) const {
  std::vector<std::string> names;
  for (auto at = tensors.lower_bound(prefix); at != tensors.end() && at->first.starts_with(prefix);
       ++at)
    names.push_back(at->first);
  for (auto at = aliases.lower_bound(prefix); at != aliases.end() && at->first.starts_with(prefix);
       ++at)
    names.push_back(at->first);
  return names;
}

void TrainState::merge(TrainState other) {
  tensors.merge(other.tensors);
  aliases.merge(other.aliases);
  for (auto& [name, value] : other.values.items())
    if (!values.contains(name)) values[name] = std::move(value);
}

const at::Tensor& TrainState::tensor(const std::string& name) const {
  const auto alias = aliases.find(name);
  const auto found = tensors.find(alias == aliases.end() ? name : alias->second);
  if (found == tensors.end())
    throw DataError(
        "the checkpoint has no tensor '" + name + "'",
        "it belongs to another version or method; delete it to train from the beginning");
  return found->second;
}

void ScopedWriter::tensor(std::string_view name, const at::Tensor& value) {
  state_.put(joined(prefix_, name), value);
}

void ScopedWriter::put(std::string_view name, nlohmann::json value) {
  if (!state_.values.emplace(joined(prefix_, name), std::move(value)).second)
    throw Error("state '" + joined(prefix_, name) + "' was written twice");
}

void ScopedWriter::integer(std::string_view name, int64_t value) {
  put(name, {{"integer", value}});
}
// As bits: JSON has no NaN and no infinity.
void ScopedWriter::real(std::string_view name, double value) {
  put(name, {{"real", std::bit_cast<int64_t>(value)}});
}
void ScopedWriter::text(std::string_view name, std::string_view value) {
  put(name, {{"text", value}});
}

bool ScopedReader::has(std::string_view name) const {
  return state_.has_tensor(joined(prefix_, name)) || state_.values.contains(joined(prefix_, name));
}

at::Tensor ScopedReader::tensor(std::string_view name) const {
  return state_.tensor(joined(prefix_, name));
}

const nlohmann::json& ScopedReader::get(std::string_view name, const char* type) const {
  const auto found = state_.values.find(joined(prefix_, name));
  if (found == state_.values.end() || !found->contains(type))
    throw DataError(
        "the checkpoint has no " + std::string(type) + " '" + joined(prefix_, name) + "'",
        "it belongs to another version or method; delete it to train from the beginning");
  return found->at(type);
}

int64_t ScopedReader::integer(std::string_view name) const { return get(name, "integer"); }
double ScopedReader::real(std::string_view name) const {
  return std::bit_cast<double>(get(name, "real").get<int64_t>());
}
std::string ScopedReader::text(std::string_view name) const { return get(name, "text"); }

}  // namespace qtk::train
