#include "stage/deployed_tensors.hpp"

#include "model/family.hpp"

#include <qtk/runtime/check.hpp>

#include <ATen/ATen.h>

namespace qtk::stage {

DeployedTensors::DeployedTensors(const model::Decoder& decoder)
    : decoder_(decoder), is_conv1d_(model::find_family(decoder.config().model_type)->is_conv1d) {
  for (const auto& site : decoder.sites()) {
    site_of_[site.name + ".weight"] = site.index;
    if (!decoder.attached(site.index)) continue;
    const bool is_transposed = is_conv1d_ && site.block >= 0;
    packed_[site.name + ".weight"] = site.index;
    add(site.name + ".weight", at::kFloat,
        is_transposed ? std::vector{site.in_features, site.out_features}
                      : std::vector{site.out_features, site.in_features});
  }
  for (const auto& parameter : decoder.parameters()) {
    if (packed_.contains(parameter.name)) continue;
    add(parameter.name, parameter.tensor.scalar_type(), parameter.tensor.sizes().vec());
    dense_[parameter.name] = parameter.tensor;
  }
}

void DeployedTensors::add(const std::string& name, at::ScalarType dtype, std::vector<int64_t> shape) {
  index_[name] = tensors_.size();
  tensors_.push_back({name, dtype, std::move(shape)});
}

at::Tensor DeployedTensors::tensor(const std::string& name) const {
  if (const auto dense = dense_.find(name); dense != dense_.end()) return dense->second.cpu();
  const auto packed = packed_.find(name);
  QTK_CHECK(packed != packed_.end(), "the model has no tensor ", name);
  const LinearSite& site = decoder_.sites()[static_cast<size_t>(packed->second)];
  const auto weight = decoder_.attached(site.index)->weight().cpu();
  return is_conv1d_ && site.block >= 0 ? weight.t() : weight;
}

int64_t DeployedTensors::site_of(const std::string& name) const {
  const auto found = site_of_.find(name);
  return found == site_of_.end() ? -1 : found->second;
}

}  // namespace qtk::stage
