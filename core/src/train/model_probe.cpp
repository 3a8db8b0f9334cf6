#include "train/model_probe.hpp"

#include "base/interrupt.hpp"
#include "base/logging.hpp"

#include <qtk/linear_product.hpp>
#include <qtk/runtime/check.hpp>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <chrono>
#include <cmath>

namespace qtk::train {
namespace {

using model::AttentionForm;

/// Sum of squares over several tensors, in fp64.
double squared_norm(std::span<const at::Tensor> tensors) {
  double sum = 0;
  for (const auto& tensor : tensors) sum += tensor.to(at::kDouble).square().sum().item<double>();
  return sum;
}

/// Gradients are recorded here, whatever the caller does.
struct Recording {
  c10::InferenceMode normal{false};
  c10::AutoGradMode records{true};
};

}  // namespace

/// Stands in the place of a site; its weight can be exchanged.
class DecoderProbe::SiteLayer final : public QuantizedLinear {
 public:
  SiteLayer(at::Tensor weight, at::Tensor bias)
      : dense(std::move(weight)), current(dense), bias_(std::move(bias)) {}

  at::Tensor forward(const at::Tensor& x) override { return linear_product(x, current, bias_); }
  at::Tensor weight() const override { return current; }
  PackedWeight pack() const override { return {}; }

  const at::Tensor dense;  // [out, in] in the compute dtype
  at::Tensor current;

 private:
  at::Tensor bias_;
};

DecoderProbe::DecoderProbe(model::Decoder& decoder, ProbeInit init)
    : decoder_(decoder), init_(std::move(init)) {
  QTK_CHECK(!init_.batches.empty(), "there is no calibration batch");
  for (const auto& batch : init_.batches) {
    QTK_CHECK(batch.dim() == 2 && batch.size(0) > 0 && batch.size(1) >= 2,
              "a calibration batch is [B, S >= 2], not ", batch.sizes());
    batch_sizes_.push_back(batch.size(0));
  }
  const c10::InferenceMode normal(false);
  const auto dtype = decoder_.embed(init_.batches[0].slice(1, 0, 1)).scalar_type();
  QTK_CHECK(dtype == at::kFloat || dtype == at::kDouble,
            "second derivatives need a model that computes in fp32, not ", dtype);
  for (const int64_t site : init_.sites) {
    sites_.push_back(decoder_.sites().at(static_cast<size_t>(site)));
    QTK_CHECK(!decoder_.attached(site), sites_.back().name, " is quantized, not dense");
    auto layer = std::make_unique<SiteLayer>(decoder_.dense_weight(site).detach().to(dtype),
                                             decoder_.bias(site));
    layers_.push_back(layer.get());
    decoder_.attach(site, std::move(layer));
  }
}

DecoderProbe::~DecoderProbe() {
  for (const int64_t site : init_.sites) decoder_.detach(site);
}

void DecoderProbe::check_site(int64_t site) const {
  QTK_CHECK(site >= 0 && site < std::ssize(sites_), "site ", site, " of ", sites_.size());
}

at::Tensor DecoderProbe::weight(int64_t site) const {
  check_site(site);
  return layers_[static_cast<size_t>(site)]->dense;
}

void DecoderProbe::place(std::span<const int64_t> sites, std::span<const at::Tensor> weights) {
  for (size_t i = 0; i < sites.size(); ++i) {
    auto& layer = *layers_[static_cast<size_t>(sites[i])];
    layer.current = weights.empty() ? layer.dense : weights[i];
  }
}

std::vector<at::Tensor> DecoderProbe::leaves(std::span<const int64_t> sites) const {
  std::vector<at::Tensor> leaves;
  for (const int64_t site : sites) {
    check_site(site);
    leaves.push_back(weight(site).detach().requires_grad_());
  }
  return leaves;
}

int64_t DecoderProbe::first_layer(std::span<const int64_t> sites) const {
  int64_t first = decoder_.config().num_layers;
  for (const int64_t site : sites)
    if (const int block = sites_[static_cast<size_t>(site)].block; block >= 0)
      first = std::min<int64_t>(first, block);
  return first;
}

at::Tensor DecoderProbe::prefix(int64_t batch, int64_t layer) {
  const c10::NoGradGuard no_grad;
  auto known = prefixes_.find(batch);
  if (known == prefixes_.end() || known->second.layer > layer) {
    const auto& ids = init_.batches.at(static_cast<size_t>(batch));
    const auto hidden = decoder_.embed(ids.slice(1, 0, ids.size(1) - 1));
    known = prefixes_.insert_or_assign(batch, Prefix{0, hidden}).first;
  }
  auto& [next, hidden] = known->second;
  for (; next < layer; ++next) hidden = decoder_.block(next, hidden);
  return hidden;
}

at::Tensor DecoderProbe::loss_of(int64_t batch, std::optional<int64_t> sample,
                                 int64_t first_layer) {
  auto x = prefix(batch, first_layer);
  auto targets = init_.batches[static_cast<size_t>(batch)].slice(1, 1);
  if (sample) {
    QTK_CHECK(*sample >= 0 && *sample < x.size(0), "sample ", *sample, " of ", x.size(0));
    x = x.narrow(0, *sample, 1);
    targets = targets.narrow(0, *sample, 1);
  }
  const int64_t num_layers = decoder_.config().num_layers;
  for (int64_t layer = first_layer; layer < num_layers; ++layer) x = decoder_.block(layer, x);
  const auto logits = decoder_.head(decoder_.final_norm(x));
  return at::cross_entropy_loss(logits.flatten(0, 1), targets.reshape(-1));
}

double DecoderProbe::loss(int64_t batch, int64_t site, const at::Tensor& replacement) {
  const c10::NoGradGuard no_grad;
  if (site < 0) return loss_of(batch, std::nullopt, 0).item<double>();
  check_site(site);
  QTK_CHECK(replacement.sizes() == weight(site).sizes(), "a replacement for ",
            sites_[static_cast<size_t>(site)].name, " is ", weight(site).sizes(), ", not ",
            replacement.sizes());
  const int64_t place_of[] = {site};
  place(place_of, {{replacement.to(weight(site).options())}});
  const double value = loss_of(batch, std::nullopt, first_layer(place_of)).item<double>();
  place(place_of, {});
  return value;
}

void DecoderProbe::count_pass() {
  stop_if_interrupted();
  ++counts_.gradient_passes;
}

std::vector<at::Tensor> DecoderProbe::gradients_at(int64_t batch, std::span<const int64_t> sites,
                                                   std::span<const at::Tensor> weights,
                                                   std::optional<int64_t> sample) {
  const Recording recording;
  count_pass();
  decoder_.set_attention(AttentionForm::kFused);
  place(sites, weights);
  const auto loss = loss_of(batch, sample, first_layer(sites));
  place(sites, {});
  return torch::autograd::grad({loss}, {weights.begin(), weights.end()});
}

std::vector<at::Tensor> DecoderProbe::gradients(int64_t batch, std::span<const int64_t> sites,
                                                std::optional<int64_t> sample) {
  return gradients_at(batch, sites, leaves(sites), sample);
}

HessianProduct DecoderProbe::hessian(int64_t batch, std::span<const int64_t> sites,
                                     const HessianOptions& options) {
  std::vector<int64_t> places(sites.begin(), sites.end());
  if (options.form == HessianForm::kDoubleBackward)
    return by_double_backward(batch, std::move(places));
  return by_finite_differences(batch, std::move(places), options.relative_step);
}

HessianProduct DecoderProbe::by_double_backward(int64_t batch, std::vector<int64_t> sites) {
  const Recording recording;
  count_pass();
  decoder_.set_attention(AttentionForm::kTwiceDifferentiable);
  const auto weights = leaves(sites);
  place(sites, weights);
  const auto loss = loss_of(batch, std::nullopt, first_layer(sites));
  place(sites, {});
  decoder_.set_attention(AttentionForm::kFused);
  const auto gradients = torch::autograd::grad({loss}, weights, {}, /*retain_graph=*/true,
                                               /*create_graph=*/true);
  return [this, weights, gradients](std::span<const at::Tensor> vector) {
    const Recording recording;
    QTK_CHECK(vector.size() == weights.size(), "a vector has one tensor per site, not ",
              vector.size(), " for ", weights.size());
    count_pass();
    ++counts_.hessian_products;
    auto products = torch::autograd::grad(gradients, weights, {vector.begin(), vector.end()},
                                          /*retain_graph=*/true, /*create_graph=*/false,
                                          /*allow_unused=*/true);
    for (size_t i = 0; i < products.size(); ++i)
      if (!products[i].defined()) products[i] = at::zeros_like(weights[i]);
    return products;
  };
}

// Central differences: the error of the derivative is O(step^2), that of rounding O(1 / step).
HessianProduct DecoderProbe::by_finite_differences(int64_t batch, std::vector<int64_t> sites,
                                                   double relative_step) {
  std::vector<at::Tensor> dense;
  for (const int64_t site : sites) {
    check_site(site);
    dense.push_back(weight(site));
  }
  const double weight_norm = std::sqrt(squared_norm(dense));
  return [=, this](std::span<const at::Tensor> vector) {
    QTK_CHECK(vector.size() == dense.size(), "a vector has one tensor per site, not ",
              vector.size(), " for ", dense.size());
    ++counts_.hessian_products;
    const double norm = std::sqrt(squared_norm(vector));
    const double step = relative_step * (weight_norm > 0 ? weight_norm : 1.0) / norm;
    const auto gradients_beside = [&](double signed_step) {
      std::vector<at::Tensor> weights;
      for (size_t i = 0; i < dense.size(); ++i)
        weights.push_back(at::add(dense[i], vector[i], signed_step).detach().requires_grad_());
      return gradients_at(batch, sites, weights, std::nullopt);
    };
    if (norm == 0) {
      std::vector<at::Tensor> zeros;
      for (const auto& tensor : dense) zeros.push_back(at::zeros_like(tensor));
      return zeros;
    }
    auto above = gradients_beside(step);
    const auto below = gradients_beside(-step);
    for (size_t i = 0; i < above.size(); ++i) above[i].sub_(below[i]).div_(2 * step);
    return above;
  };
}

std::vector<double> DecoderProbe::once(const WorkUnit& unit,
                                       const std::function<std::vector<double>()>& compute) {
  if (!progress_) progress_ = std::make_unique<Progress>(init_.label, unit.total, "part");
  if (init_.journal)
    if (const auto finished = init_.journal->find(unit.key)) {
      counts_.gradient_passes += finished->counts.gradient_passes;
      counts_.hessian_products += finished->counts.hessian_products;
      progress_->advance(1);
      return finished->values;
    }
  const PassCounts before = counts_;
  const auto start = std::chrono::steady_clock::now();
  const auto values = compute();
  const PassCounts spent{counts_.gradient_passes - before.gradient_passes,
                         counts_.hessian_products - before.hessian_products};
  if (init_.journal) init_.journal->keep(unit.key, {values, spent});
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  core_log().debug("finished " + unit.key + " in " + duration_text(seconds.count()) +
                   " gradient_passes=" + std::to_string(spent.gradient_passes));
  progress_->advance(1);
  stop_if_interrupted();
  return values;
}

}  // namespace qtk::train
