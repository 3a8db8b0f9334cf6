// A loss whose Hessian is known, in the place of a model:
//
//   L_b(w) = 1/2 w' H_b w + g_b' w + q/24 sum w^4
//
// over the weights w of all sites, one after the other, in fp64. The fourth power shows the error
// of finite differences; at the sites' weights it adds q/2 w^2 to the diagonal of the Hessian.
#pragma once

#include <qtk/api/estimator.hpp>
#include <qtk/runtime/check.hpp>

#include <ATen/ATen.h>

#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace qtk::testing {

struct QuadraticLoss {
  std::vector<LinearSite> sites;
  at::Tensor weights;                 // [N]
  std::vector<at::Tensor> hessians;   // H_b, one [N, N] per batch, symmetric
  std::vector<at::Tensor> gradients;  // g_b, one [samples, N] per batch; a batch takes their mean
  double quartic = 0;                 // q
};

class QuadraticProbe final : public ModelProbe {
 public:
  explicit QuadraticProbe(QuadraticLoss loss) : loss_(std::move(loss)) {
    int64_t begin = 0;
    for (const auto& site : loss_.sites) {
      begins_.push_back(begin);
      begin += site.numel();
    }
    QTK_CHECK(loss_.weights.numel() == begin, "the weights fill the sites");
    for (const auto& samples : loss_.gradients) sizes_.push_back(samples.size(0));
  }

  std::span<const LinearSite> sites() const override { return loss_.sites; }
  std::span<const int64_t> batch_sizes() const override { return sizes_; }
  at::Tensor weight(int64_t site) const override {
    const auto& of = loss_.sites.at(static_cast<size_t>(site));
    return loss_.weights.narrow(0, begin_of(site), of.numel())
        .reshape({of.out_features, of.in_features});
  }
  double loss(int64_t batch, int64_t site, const at::Tensor& replacement) override {
    auto w = loss_.weights.clone();
    if (site >= 0) w.narrow(0, begin_of(site), replacement.numel()).copy_(replacement.reshape(-1));
    const auto b = static_cast<size_t>(batch);
    return (0.5 * w.dot(loss_.hessians[b].mv(w)) + loss_.gradients[b].mean(0).dot(w) +
            loss_.quartic / 24 * w.pow(4).sum())
        .item<double>();
  }
  std::vector<at::Tensor> gradients(int64_t batch, std::span<const int64_t> sites,
                                    const GradientOptions& options) override {
    ++gradient_passes;
    auto labels = options.labels;
    const auto g = labels ? gauss_newton_sample(batch, labels->next_u64())
                          : gradient(batch, loss_.weights, options.sample);
    return parts(g.unsqueeze(0), sites, /*is_matrix=*/false);
  }
  HessianProduct hessian(int64_t batch, std::span<const int64_t> sites,
                         const HessianOptions& options) override {
    ++gradient_passes;
    return [this, batch, chosen = std::vector<int64_t>(sites.begin(), sites.end()),
            options](std::span<const at::Tensor> vectors) {
      const int64_t count = vectors[0].size(0);
      QTK_CHECK(count <= options.vectors, "more vectors than announced");
      auto v_KN = at::zeros({count, loss_.weights.numel()}, loss_.weights.options());
      for (size_t i = 0; i < chosen.size(); ++i)
        v_KN.narrow(1, begin_of(chosen[i]), weight(chosen[i]).numel())
            .copy_(vectors[i].reshape({count, -1}));
      products += count;
      gradient_passes += count;
      return parts(product(batch, v_KN, options), chosen, /*is_matrix=*/true);
    };
  }
  std::vector<double> once(const WorkUnit& unit,
                           const std::function<std::vector<double>()>& compute) override {
    if (const auto found = journal.find(unit.key); found != journal.end()) return found->second;
    if (units_before_failure-- == 0) throw Error("the power is gone");
    return journal[unit.key] = compute();
  }

  /// The trace of the mean Hessian's diagonal block of a site.
  double trace(int64_t site) const {
    auto diagonal = 0.5 * loss_.quartic * loss_.weights.square();
    for (const auto& hessian : loss_.hessians)
      diagonal = diagonal + hessian.diagonal() / static_cast<double>(loss_.hessians.size());
    return diagonal.narrow(0, begin_of(site), weight(site).numel()).sum().item<double>();
  }

  std::map<std::string, std::vector<double>> journal;
  int64_t units_before_failure = -1;  // never
  int64_t gradient_passes = 0, products = 0;

 private:
  int64_t begin_of(int64_t site) const { return begins_.at(static_cast<size_t>(site)); }
  at::Tensor gradient(int64_t batch, const at::Tensor& w, std::optional<int64_t> sample) const {
    const auto b = static_cast<size_t>(batch);
    const auto linear = sample ? loss_.gradients[b][*sample] : loss_.gradients[b].mean(0);
    return loss_.hessians[b].mv(w) + linear + loss_.quartic / 6 * w.pow(3);
  }
  /// A vector g with E g g' = H_b, negative eigenvalues left out: the square root of H_b times
  /// random signs, which belong to sites by name.
  at::Tensor gauss_newton_sample(int64_t batch, uint64_t seed) const {
    const auto& hessian = loss_.hessians[static_cast<size_t>(batch)];
    if (!hessian.isfinite().all().item<bool>()) return at::full_like(loss_.weights, NAN);
    auto signs = at::empty_like(loss_.weights);
    for (size_t i = 0; i < loss_.sites.size(); ++i) {
      auto part = signs.narrow(0, begins_[i], loss_.sites[i].numel());
      RandomStream({.seed = seed, .purpose = "testing.labels", .site = loss_.sites[i].name})
          .fill_rademacher(part);
    }
    const auto curved = hessian + at::diag(0.5 * loss_.quartic * loss_.weights.square());
    const auto [values, vectors] = at::linalg_eigh(curved);
    const auto root = at::mm(vectors * values.clamp_min(0).sqrt(), vectors.t());
    return root.mv(signs);
  }
  at::Tensor product(int64_t batch, const at::Tensor& v_KN, const HessianOptions& options) const {
    const auto& w = loss_.weights;
    if (options.form == HessianForm::kDoubleBackward)
      return at::mm(v_KN, loss_.hessians[static_cast<size_t>(batch)]) +
             0.5 * loss_.quartic * w.square() * v_KN;
    std::vector<at::Tensor> rows;
    for (const auto& v : v_KN.unbind(0)) {
      const auto e = options.relative_step * w.norm() / v.norm();
      rows.push_back(
          (gradient(batch, w + e * v, std::nullopt) - gradient(batch, w - e * v, std::nullopt)) /
          (2 * e));
    }
    return at::stack(rows);
  }
  /// [K, N] -> the chosen sites' columns, [K, out, in] or, of the only row, [out, in].
  std::vector<at::Tensor> parts(const at::Tensor& rows_KN, std::span<const int64_t> sites,
                                bool is_matrix) const {
    std::vector<at::Tensor> parts;
    for (const int64_t site : sites) {
      const auto& of = loss_.sites.at(static_cast<size_t>(site));
      const auto part = rows_KN.narrow(1, begin_of(site), of.numel())
                            .reshape({rows_KN.size(0), of.out_features, of.in_features});
      parts.push_back(is_matrix ? part : part[0].clone());
    }
    return parts;
  }

  const QuadraticLoss loss_;
  std::vector<int64_t> begins_, sizes_;
};

inline LinearSite site_of(const std::string& name, int block, int64_t out, int64_t in) {
  return {.name = name,
          .block = block,
          .role = name.substr(name.rfind('.') + 1),
          .out_features = out,
          .in_features = in};
}

/// Four sites in two blocks and three batches of two samples, random but the same on every call.
inline QuadraticLoss random_quadratic() {
  QuadraticLoss loss{.sites = {site_of("model.layers.0.self_attn.q_proj", 0, 4, 5),
                               site_of("model.layers.0.mlp.up_proj", 0, 6, 4),
                               site_of("model.layers.1.self_attn.q_proj", 1, 4, 5),
                               site_of("model.layers.1.mlp.up_proj", 1, 6, 4)},
                     .quartic = 0.8};
  constexpr int64_t kSize = 88;
  RandomStream random({.seed = 11, .purpose = "testing.quadratic"});
  const auto normal = [&](at::IntArrayRef shape) {
    auto values = at::empty(shape, at::kDouble);
    random.fill_normal(values);
    return values;
  };
  loss.weights = normal({kSize});
  for (int batch = 0; batch < 3; ++batch) {
    const auto noise = normal({kSize, kSize}) * 0.05;
    loss.hessians.push_back(noise + noise.t() + at::diag(normal({kSize}).square() + 0.2));
    loss.gradients.push_back(normal({2, kSize}));
  }
  return loss;
}

}  // namespace qtk::testing
