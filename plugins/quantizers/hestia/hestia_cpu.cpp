#include "hestia_cpu.hpp"

#include "soft_codebook.hpp"
#include "soft_loops.hpp"

#include <qtk/runtime/check.hpp>

#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <functional>

namespace qtk::hestia {
namespace {

constexpr int64_t kPiece = 8192;  // weights that are summed in one go

/// A run of weights within one group: [begin, begin + n) of the flat tensor.
struct Run {
  int64_t group, piece, begin, n;
};

/// Groups cut into runs of at most `longest` weights.
class Runs {
 public:
  Runs(const at::Tensor& w_GN, int64_t longest)
      : size_(w_GN.size(1)), longest_(longest), groups_(w_GN.size(0)) {}

  int64_t per_group() const { return (size_ + longest_ - 1) / longest_; }

  template <class Visit>
  void for_each(Visit&& visit) const {
    const int64_t grain = std::max<int64_t>(1, 32768 / std::min(size_, longest_));
    at::parallel_for(0, groups_ * per_group(), grain, [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; ++i) visit(at(i));
    });
  }

 private:
  Run at(int64_t i) const {
    const int64_t group = i / per_group(), piece = i % per_group(), offset = piece * longest_;
    return {group, piece, group * size_ + offset, std::min(longest_, size_ - offset)};
  }

  const int64_t size_, longest_, groups_;
};

/// [G, 1] fp64: the sum over each group of what `sum_of(run)` returns.
at::Tensor group_sums(const at::Tensor& w_GN, int64_t longest,
                      const std::function<double(const Run&)>& sum_of) {
  const Runs runs(w_GN, longest);
  at::Tensor partial = at::empty({w_GN.size(0), runs.per_group()}, at::kDouble);
  double* sums = partial.data_ptr<double>();
  runs.for_each([&](const Run& r) { sums[r.group * runs.per_group() + r.piece] = sum_of(r); });
  return partial.sum(1, /*keepdim=*/true);
}

template <class T>
at::Tensor levels_of(const Form& form) {
  return at::tensor(form.levels, at::kDouble).to(c10::CppTypeToScalarType<T>::value);
}

template <class T>
LoopTerms<T> terms_of(const Form& form, const at::Tensor& levels) {
  LoopTerms<T> terms{.levels = levels.const_data_ptr<T>(), .num_levels = levels.numel()};
  terms.inverse_temperature = form.is_hard() ? T(0) : static_cast<T>(form.inverse_temperature());
  terms.pressure = static_cast<T>(form.pressure);
  terms.is_ternary = form.is_ternary();
  terms.is_half_to_even = form.semantics == Semantics::kV0;
  return terms;
}

at::Tensor deployed_scale(const at::Tensor& scale_G1, const Form& form) {
  if (scale_G1.scalar_type() == at::kDouble) return scale_G1;
  return scale_G1.to(form.scale_dtype).to(scale_G1.scalar_type());
}

template <class T>
void effective_weight(const at::Tensor& w_GN, const Form& form, at::Tensor& out_GN) {
  const at::Tensor scale_G1 = scale_cpu(w_GN, form.semantics),
                   out_scale_G1 = form.is_hard() ? deployed_scale(scale_G1, form) : scale_G1,
                   levels = levels_of<T>(form);
  const LoopTerms<T> common = terms_of<T>(form, levels);
  const T *w = w_GN.const_data_ptr<T>(), *scales = scale_G1.const_data_ptr<T>(),
          *out_scales = out_scale_G1.const_data_ptr<T>();
  T* out = out_GN.data_ptr<T>();
  Runs(w_GN, kRun).for_each([&](const Run& r) {
    LoopTerms<T> terms = common;
    terms.scale = scales[r.group], terms.inverse_scale = 1 / scales[r.group];
    T value[kRun];
    uint8_t code[kRun];
    if (form.is_hard()) {
      code_run(terms, w + r.begin, r.n, code);
      for (int64_t i = 0; i < r.n; ++i) value[i] = terms.levels[code[i]];
    } else {
      soft_run(terms, w + r.begin, r.n, value, nullptr);
    }
    mix_run(terms.pressure, w + r.begin, value, out_scales[r.group], r.n, out + r.begin);
  });
}

/// Own slope and, in v0, the slope of the scale, of one run.
template <class T>
void slope_run(const LoopTerms<T>& terms, bool is_hard, const T* w, int64_t n, T* own, T* scale) {
  T mean[kRun];
  uint8_t code[kRun];
  if (is_hard) {
    code_run(terms, w, n, code);
    for (int64_t i = 0; i < n; ++i) own[i] = 1, scale[i] = terms.levels[code[i]];
    return;
  }
  soft_run(terms, w, n, mean, own);
  for (int64_t i = 0; i < n; ++i) scale[i] = mean[i] - w[i] * terms.inverse_scale * own[i];
}

template <class T>
void latent_gradient(const at::Tensor& g_GN, const at::Tensor& w_GN, const Form& form,
                     at::Tensor& out_GN) {
  const at::Tensor scale_G1 = scale_cpu(w_GN, form.semantics), levels = levels_of<T>(form);
  const LoopTerms<T> common = terms_of<T>(form, levels);
  const T *w = w_GN.const_data_ptr<T>(), *g = g_GN.const_data_ptr<T>(),
          *scales = scale_G1.const_data_ptr<T>();
  T* out = out_GN.data_ptr<T>();
  const auto gradient_of_run = [&](const Run& r) {
    LoopTerms<T> terms = common;
    terms.scale = scales[r.group], terms.inverse_scale = 1 / scales[r.group];
    T own[kRun], scale[kRun];
    slope_run(terms, form.is_hard(), w + r.begin, r.n, own, scale);
    double sum = 0;
    for (int64_t i = 0; i < r.n; ++i) {
      const int64_t at = r.begin + i;
      sum += static_cast<double>(g[at] * scale[i]);
      out[at] = g[at] * (1 + terms.pressure * (own[i] - 1));
    }
    return sum;
  };
  const at::Tensor sum_G1 = group_sums(w_GN, kRun, gradient_of_run);
  if (form.semantics != Semantics::kV0) return;
  const at::Tensor is_free_G1 = scale_G1 > kScaleEpsilon;
  out_GN +=
      w_GN.sign() * (sum_G1 * is_free_G1 * (form.pressure / static_cast<double>(w_GN.size(1))))
                        .to(w_GN.scalar_type());
}

}  // namespace

at::Tensor scale_cpu(const at::Tensor& w_GN, Semantics semantics) {
  at::Tensor sum_G1;
  AT_DISPATCH_FLOATING_TYPES(w_GN.scalar_type(), "hestia scale", [&] {
    const auto* w = w_GN.const_data_ptr<scalar_t>();
    sum_G1 = group_sums(w_GN, kPiece, [&](const Run& r) { return absolute_sum(w + r.begin, r.n); });
  });
  at::Tensor mean = sum_G1 / static_cast<double>(w_GN.size(1));
  mean = semantics == Semantics::kV0 ? mean.clamp_min(kScaleEpsilon) : mean + kScaleEpsilon;
  return mean.to(w_GN.scalar_type());
}

at::Tensor effective_weight_cpu(const at::Tensor& w_GN, const Form& form) {
  if (form.pressure == 0 || w_GN.numel() == 0) return w_GN.clone();
  at::Tensor out_GN = at::empty_like(w_GN);
  AT_DISPATCH_FLOATING_TYPES(w_GN.scalar_type(), "hestia weight",
                             [&] { effective_weight<scalar_t>(w_GN, form, out_GN); });
  return out_GN;
}

at::Tensor latent_gradient_cpu(const at::Tensor& gradient_GN, const at::Tensor& w_GN,
                               const Form& form) {
  const at::Tensor g_GN = gradient_GN.to(w_GN.scalar_type()).contiguous();
  const bool is_identity =
      form.pressure == 0 || (form.is_hard() && form.semantics == Semantics::kReleased);
  if (is_identity || w_GN.numel() == 0) return g_GN;
  at::Tensor out_GN = at::empty_like(w_GN);
  AT_DISPATCH_FLOATING_TYPES(w_GN.scalar_type(), "hestia gradient",
                             [&] { latent_gradient<scalar_t>(g_GN, w_GN, form, out_GN); });
  return out_GN;
}

at::Tensor nearest_code_cpu(const at::Tensor& w_GN, const at::Tensor& scale_G1, const Form& form) {
  at::Tensor code_GN = at::empty(w_GN.sizes(), at::kByte);
  uint8_t* codes = code_GN.data_ptr<uint8_t>();
  AT_DISPATCH_FLOATING_TYPES(w_GN.scalar_type(), "hestia codes", [&] {
    const at::Tensor levels = levels_of<scalar_t>(form);
    const LoopTerms<scalar_t> common = terms_of<scalar_t>(form, levels);
    const auto *w = w_GN.const_data_ptr<scalar_t>(), *scales = scale_G1.const_data_ptr<scalar_t>();
    Runs(w_GN, kRun).for_each([&](const Run& r) {
      LoopTerms<scalar_t> terms = common;
      terms.scale = scales[r.group];
      code_run(terms, w + r.begin, r.n, codes + r.begin);
    });
  });
  return code_GN;
}

}  // namespace qtk::hestia
