#include "trace/joint_trace.hpp"

#include <qtk/runtime/check.hpp>

#include <ATen/ATen.h>

#include <algorithm>

namespace qtk::trace {

JointTrace::JointTrace(const RunContext& context, ModelProbe& probe, std::vector<double> scales,
                       const HessianOptions& options, std::string purpose)
    : context_(context),
      probe_(probe),
      sites_(all_sites(probe)),
      scales_(std::move(scales)),
      options_(options),
      purpose_(std::move(purpose)) {
  QTK_CHECK(scales_.size() == sites_.size(), "one scale per site");
}

at::Tensor JointTrace::signs_KN(const std::string& purpose, int64_t batch, int64_t first,
                                int64_t count) const {
  std::vector<at::Tensor> flat;
  for (const auto& of_site : signs(context_, probe_, sites_, {purpose, batch, first, count}))
    flat.push_back(of_site.flatten(1));
  return at::cat(flat, 1);
}

std::vector<at::Tensor> JointTrace::scaled_parts(const at::Tensor& x_KN) const {
  std::vector<at::Tensor> parts;
  int64_t begin = 0;
  for (size_t i = 0; i < sites_.size(); ++i) {
    const auto& site = probe_.sites()[i];
    parts.push_back(x_KN.narrow(1, begin, site.numel())
                        .unflatten(1, {site.out_features, site.in_features})
                        .mul(scales_[i]));
    begin += site.numel();
  }
  return parts;
}

MatrixProduct JointTrace::open(int64_t batch) const {
  return [this, product = probe_.hessian(batch, sites_, options_)](const at::Tensor& v_KN) {
    auto products = product(scaled_parts(v_KN));
    std::vector<at::Tensor> flat;
    for (size_t i = 0; i < products.size(); ++i)
      flat.push_back(products[i].mul_(scales_[i]).flatten(1));
    return at::cat(flat, 1);
  };
}

at::Tensor JointTrace::products_by_site(const at::Tensor& x_KN, const at::Tensor& y_KN) const {
  const auto products_KN = at::mul(x_KN, y_KN);
  std::vector<at::Tensor> columns;
  int64_t begin = 0;
  for (const auto& site : probe_.sites()) {
    columns.push_back(
        products_KN.narrow(1, begin, site.numel()).sum({1}, /*keepdim=*/false, at::kDouble));
    begin += site.numel();
  }
  return at::stack(columns, 1);
}

void JointTrace::sketch(int64_t num_sketch) {
  const auto batches = std::ssize(probe_.batch_sizes());
  at::Tensor y_RN;
  for (int64_t batch = 0; batch < batches; ++batch) {
    const auto product = open(batch);
    for (int64_t first = 0; first < num_sketch; first += options_.vectors) {
      const int64_t count = std::min(options_.vectors, num_sketch - first);
      const auto rows_KN = product(signs_KN(purpose_ + ".sketch", 0, first, count));
      if (!y_RN.defined()) y_RN = at::zeros({num_sketch, rows_KN.size(1)}, rows_KN.options());
      y_RN.narrow(0, first, count).add_(rows_KN);
    }
  }
  orthonormalize_rows(y_RN);
  q_RN_ = std::move(y_RN);
}

std::vector<double> JointTrace::within(int64_t batch) const {
  const auto product = open(batch);
  const int64_t rows = q_RN_.size(0);
  auto total_S = at::zeros({std::ssize(sites_)}, q_RN_.options().dtype(at::kDouble));
  for (int64_t first = 0; first < rows; first += options_.vectors) {
    const auto q_KN = q_RN_.narrow(0, first, std::min(options_.vectors, rows - first));
    const auto z_KN = product(q_KN);
    // sum over r of 2 z_r . q_r - (T Q)_r . q_r, where (T Q)_r = sum over s of (z_r . q_s) q_s
    const auto tq_KN = at::mm(at::mm(z_KN, q_RN_.t()), q_RN_);
    total_S += products_by_site(z_KN * 2 - tq_KN, q_KN).sum(0);
  }
  const auto numbers = total_S.cpu();
  std::vector<double> values(numbers.const_data_ptr<double>(),
                             numbers.const_data_ptr<double>() + numbers.numel());
  for (size_t i = 0; i < values.size(); ++i) values[i] /= scales_[i] * scales_[i];
  return values;
}

at::Tensor JointTrace::samples(int64_t batch, int64_t first, int64_t count) const {
  const auto product = open(batch);
  const auto project = [this](at::Tensor x_KN) {
    return q_RN_.defined() ? x_KN.addmm(at::mm(x_KN, q_RN_.t()), q_RN_, /*beta=*/1, /*alpha=*/-1)
                           : x_KN;
  };
  std::vector<at::Tensor> parts;
  for (int64_t done = 0; done < count; done += options_.vectors) {
    const auto w_KN =
        signs_KN(purpose_, batch, first + done, std::min(options_.vectors, count - done));
    parts.push_back(products_by_site(w_KN, project(product(project(w_KN)))));
  }
  auto samples_KS = at::cat(parts).cpu();
  for (size_t i = 0; i < scales_.size(); ++i)
    samples_KS.select(1, static_cast<int64_t>(i)).div_(scales_[i] * scales_[i]);
  return samples_KS;
}

}  // namespace qtk::trace
