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

/// One token of each row's distribution, by the inverse of its cumulated probabilities. [n] int64.
at::Tensor drawn_tokens(const at::Tensor& logits_nV, RandomStream random) {
  constexpr int64_t kRows = 64;  // at a time: probabilities are fp64
  auto uniform_n = at::empty({logits_nV.size(0), 1}, at::kDouble);
  random.fill_uniform(uniform_n);
  std::vector<at::Tensor> drawn;
  for (int64_t row = 0; row < logits_nV.size(0); row += kRows) {
    const auto logits = logits_nV.slice(0, row, row + kRows);
    const auto cumulated = at::softmax(logits, -1, at::kDouble).cumsum(-1);
    const auto places = uniform_n.slice(0, row, row + kRows).to(logits.device());
    drawn.push_back(at::searchsorted(cumulated, places, /*out_int32=*/false, /*right=*/true)
                        .clamp_max(logits_nV.size(1) - 1)
                        .squeeze(1));
  }
  return at::cat(drawn);
}

}  // namespace

/// Stands in the place of a site; its weight can be exchanged.
class DecoderProbe::SiteLayer final : public QuantizedLinear {
 public:
  SiteLayer(at::Tensor weight, at::Tensor bias)
      : dense(std::move(weight)), current(dense), bias_(std::move(bias)) {}

  at::Tensor forward(const at::Tensor& x) override {
    return current.dim() == 2 ? linear_product(x, current, bias_) : forward_copies(x);
  }
  at::Tensor weight() const override { return current; }
  PackedWeight pack() const override { return {}; }

  const at::Tensor dense;  // [out, in] in the compute dtype
  at::Tensor current;      // the same, or one for every copy of the batch: [K, out, in]

 private:
  /// x [K * B, ..., in]
  at::Tensor forward_copies(const at::Tensor& x) const {
    auto y = at::bmm(x.reshape({current.size(0), -1, x.size(-1)}), current.transpose(1, 2));
    if (bias_.defined()) y = y + bias_;
    auto shape = x.sizes().vec();
    shape.back() = current.size(1);
    return y.reshape(shape);
  }

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

DecoderProbe::Outputs DecoderProbe::outputs_of(int64_t batch, std::optional<int64_t> sample,
                                               int64_t first_layer, int64_t copies) {
  auto x = prefix(batch, first_layer);
  auto targets = init_.batches[static_cast<size_t>(batch)].slice(1, 1);
  if (sample) {
    QTK_CHECK(*sample >= 0 && *sample < x.size(0), "sample ", *sample, " of ", x.size(0));
    x = x.narrow(0, *sample, 1);
    targets = targets.narrow(0, *sample, 1);
  }
  x = x.repeat({copies, 1, 1});
  targets = targets.repeat({copies, 1});
  const int64_t num_layers = decoder_.config().num_layers;
  for (int64_t layer = first_layer; layer < num_layers; ++layer) x = decoder_.block(layer, x);
  return {decoder_.head(decoder_.final_norm(x)).flatten(0, 1), targets.reshape(-1)};
}

at::Tensor DecoderProbe::loss_of(int64_t batch, int64_t first_layer, int64_t copies) {
  const auto [logits, targets] = outputs_of(batch, std::nullopt, first_layer, copies);
  return at::cross_entropy_loss(logits, targets) * static_cast<double>(copies);
}

at::Tensor DecoderProbe::loss_of(int64_t batch, int64_t first_layer,
                                 const GradientOptions& options) {
  const auto [logits, targets] = outputs_of(batch, options.sample, first_layer, 1);
  if (!options.labels) return at::cross_entropy_loss(logits, targets);
  const auto drawn = drawn_tokens(logits.detach(), *options.labels);
  return at::cross_entropy_loss(logits, drawn, {}, at::Reduction::Sum) /
         std::sqrt(static_cast<double>(drawn.numel()));
}

double DecoderProbe::loss(int64_t batch, int64_t site, const at::Tensor& replacement) {
  const c10::NoGradGuard no_grad;
  if (site < 0) return loss_of(batch, 0).item<double>();
  check_site(site);
  QTK_CHECK(replacement.sizes() == weight(site).sizes(), "a replacement for ",
            sites_[static_cast<size_t>(site)].name, " is ", weight(site).sizes(), ", not ",
            replacement.sizes());
  const int64_t place_of[] = {site};
  place(place_of, {{replacement.to(weight(site).options())}});
  const double value = loss_of(batch, first_layer(place_of)).item<double>();
  place(place_of, {});
  return value;
}

void DecoderProbe::count_passes(int64_t count) {
  stop_if_interrupted();
  counts_.gradient_passes += count;
}

std::vector<at::Tensor> DecoderProbe::gradients_at(int64_t batch, std::span<const int64_t> sites,
                                                   std::span<const at::Tensor> weights,
                                                   const GradientOptions& options) {
  const Recording recording;
  count_passes(1);
  decoder_.set_attention(AttentionForm::kFused);
  place(sites, weights);
  const auto loss = loss_of(batch, first_layer(sites), options);
  place(sites, {});
  return torch::autograd::grad({loss}, {weights.begin(), weights.end()});
}

std::vector<at::Tensor> DecoderProbe::gradients(int64_t batch, std::span<const int64_t> sites,
                                                const GradientOptions& options) {
  return gradients_at(batch, sites, leaves(sites), options);
}

HessianProduct DecoderProbe::hessian(int64_t batch, std::span<const int64_t> sites,
                                     const HessianOptions& options) {
  std::vector<int64_t> places(sites.begin(), sites.end());
  if (options.form == HessianForm::kDoubleBackward)
    return by_double_backward(batch, std::move(places), options.vectors);
  return by_finite_differences(batch, std::move(places), options.relative_step);
}

// With K copies every copy has a weight of its own, all equal: the sum of the copies' losses has a
// Hessian of K equal diagonal blocks, so that one product brings K.
HessianProduct DecoderProbe::by_double_backward(int64_t batch, std::vector<int64_t> sites,
                                                int64_t copies) {
  const Recording recording;
  count_passes(copies);
  decoder_.set_attention(AttentionForm::kTwiceDifferentiable);
  std::vector<at::Tensor> weights;
  for (const int64_t site : sites)
    weights.push_back((copies == 1 ? weight(site) : weight(site).repeat({copies, 1, 1}))
                          .detach()
                          .requires_grad_());
  place(sites, weights);
  const auto loss = loss_of(batch, first_layer(sites), copies);
  place(sites, {});
  decoder_.set_attention(AttentionForm::kFused);
  const auto gradients = torch::autograd::grad({loss}, weights, {}, /*retain_graph=*/true,
                                               /*create_graph=*/true);
  return [this, weights, gradients, copies](std::span<const at::Tensor> vectors) {
    const Recording recording;
    QTK_CHECK(vectors.size() == weights.size(), "a vector has one tensor per site, not ",
              vectors.size(), " for ", weights.size());
    const int64_t given = vectors.empty() ? 0 : vectors[0].size(0);
    QTK_CHECK(given <= copies, given, " vectors at once, announced were ", copies);
    count_passes(given);
    counts_.hessian_products += given;
    std::vector<at::Tensor> filled;
    for (size_t i = 0; i < weights.size(); ++i)
      filled.push_back(copies == 1 ? vectors[i].squeeze(0)
                       : given == copies
                           ? vectors[i]
                           : at::constant_pad_nd(vectors[i], {0, 0, 0, 0, 0, copies - given}));
    auto products = torch::autograd::grad(gradients, weights, filled, /*retain_graph=*/true,
                                          /*create_graph=*/false, /*allow_unused=*/true);
    for (size_t i = 0; i < products.size(); ++i) {
      if (!products[i].defined()) products[i] = at::zeros_like(weights[i]);
      products[i] = copies == 1 ? products[i].unsqueeze(0) : products[i].slice(0, 0, given);
    }
    return products;
  };
}

// Central differences: the error of the derivative is O(step^2), that of rounding O(1 / step).
HessianProduct DecoderProbe::by_finite_differences(int64_t batch, std::vector<int64_t> sites,
                                                   double relative_step) {
  std::vector<at::Tensor> dense;
  for (const int64_t site : sites) dense.push_back(weight(site));
  const double weight_norm = std::sqrt(squared_norm(dense));
  const auto product = [=, this](const std::vector<at::Tensor>& vector) {
    ++counts_.hessian_products;
    const double norm = std::sqrt(squared_norm(vector));
    std::vector<at::Tensor> zeros;
    if (norm == 0) {
      for (const auto& tensor : dense) zeros.push_back(at::zeros_like(tensor));
      return zeros;
    }
    const double step = relative_step * (weight_norm > 0 ? weight_norm : 1.0) / norm;
    const auto gradients_beside = [&](double signed_step) {
      std::vector<at::Tensor> weights;
      for (size_t i = 0; i < dense.size(); ++i)
        weights.push_back(at::add(dense[i], vector[i], signed_step).detach().requires_grad_());
      return gradients_at(batch, sites, weights, {});
    };
    auto above = gradients_beside(step);
    const auto below = gradients_beside(-step);
    for (size_t i = 0; i < above.size(); ++i) above[i].sub_(below[i]).div_(2 * step);
    return above;
  };
  return [product, num_sites = dense.size()](std::span<const at::Tensor> vectors) {
    QTK_CHECK(vectors.size() == num_sites, "a vector has one tensor per site, not ", vectors.size(),
              " for ", num_sites);
    std::vector<std::vector<at::Tensor>> rows(num_sites);
    for (int64_t k = 0; k < vectors[0].size(0); ++k) {
      std::vector<at::Tensor> vector;
      for (const auto& of_site : vectors) vector.push_back(of_site[k]);
      const auto products = product(vector);
      for (size_t i = 0; i < num_sites; ++i) rows[i].push_back(products[i]);
    }
    std::vector<at::Tensor> stacked;
    for (auto& of_site : rows)
      stacked.push_back(of_site.size() == 1 ? of_site[0].unsqueeze(0) : at::stack(of_site));
    return stacked;
  };
}

std::vector<double> DecoderProbe::once(const WorkUnit& unit,
                                       const std::function<std::vector<double>()>& compute) {
  if (init_.journal)
    if (const auto finished = init_.journal->find(unit.key)) {
      counts_.gradient_passes += finished->counts.gradient_passes;
      counts_.hessian_products += finished->counts.hessian_products;
      ++found_units_;
      return finished->values;
    }
  if (!progress_)
    progress_ = std::make_unique<Progress>(
        init_.label, unit.total > 0 ? std::max<int64_t>(1, unit.total - found_units_) : 0, "part");
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

void DecoderProbe::repeat(const std::function<void()>& work) {
  const PassCounts before = counts_;
  work();
  counts_ = before;
}

}  // namespace qtk::train
