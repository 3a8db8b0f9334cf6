#include "model/rms_norm_training.hpp"

#include "model/kernels_cpu.hpp"
#include "model/vector_math.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>

namespace qtk::model {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kElementsPerTask = 16384;

/// What the backward pass reads and writes; rows are contiguous, `columns` apart.
struct BackwardRows {
  const float *x, *weight, *gradient;
  float* input_gradient;
  float eps;
  int64_t columns;
};

/// @param weight_gradient  of the calling thread, added to
QTK_CPU_CLONES
void backward_range(const BackwardRows& rows, int64_t begin, int64_t end, float* weight_gradient) {
  const int64_t n = rows.columns, whole = n / kLanes * kLanes, rest = n - whole;
  const float* w = rows.weight;
  for (int64_t row = begin; row < end; ++row) {
    const float *x = rows.x + row * n, *g = rows.gradient + row * n;
    float* dx = rows.input_gradient + row * n;
    Floats squares{}, products{};
    for (int64_t i = 0; i < whole; i += kLanes) {
      const Floats values = load<Floats>(x + i);
      squares += values * values;
      products += load<Floats>(g + i) * load<Floats>(w + i) * values;
    }
    const Floats tail = load_part<Floats>(x + whole, rest);
    squares += tail * tail;
    products += load_part<Floats>(g + whole, rest) * load_part<Floats>(w + whole, rest) * tail;
    const float size = static_cast<float>(n);
    const float r = 1.0f / std::sqrt(sum(squares) / size + rows.eps);
    const float pull = r * r * r * (sum(products) / size);
    for (int64_t i = 0; i < whole; i += kLanes) {
      const Floats values = load<Floats>(x + i), gradient = load<Floats>(g + i);
      store<Floats>(dx + i, gradient * load<Floats>(w + i) * r - values * pull);
      store<Floats>(weight_gradient + i, load<Floats>(weight_gradient + i) + gradient * values * r);
    }
    const Floats gradient = load_part<Floats>(g + whole, rest);
    store_part<Floats>(dx + whole, gradient * load_part<Floats>(w + whole, rest) * r - tail * pull,
                       rest);
    store_part<Floats>(weight_gradient + whole,
                       load_part<Floats>(weight_gradient + whole, rest) + gradient * tail * r,
                       rest);
  }
}

struct RmsNorm : torch::autograd::Function<RmsNorm> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            double eps) {
    const auto in = x.contiguous(), scale = weight.contiguous();
    auto out = at::empty_like(in);
    const int64_t columns = in.size(-1);
    rms_norm_rows({in.const_data_ptr<float>(), columns}, scale.const_data_ptr<float>(),
                  static_cast<float>(eps), in.numel() / columns, columns,
                  {out.mutable_data_ptr<float>(), columns});
    context->save_for_backward({in, scale});
    context->saved_data["eps"] = eps;
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1];
    const auto gradient = gradients[0].contiguous();
    const int64_t columns = x.size(-1);
    auto input_gradient = at::empty_like(x);
    auto parts = at::zeros({at::get_num_threads(), columns}, x.options());
    const BackwardRows rows{x.const_data_ptr<float>(),
                            weight.const_data_ptr<float>(),
                            gradient.const_data_ptr<float>(),
                            input_gradient.mutable_data_ptr<float>(),
                            static_cast<float>(context->saved_data["eps"].toDouble()),
                            columns};
    auto* part = parts.mutable_data_ptr<float>();
    const int64_t grain = std::max<int64_t>(1, kElementsPerTask / columns);
    at::parallel_for(0, x.numel() / columns, grain, [&](int64_t begin, int64_t end) {
      backward_range(rows, begin, end, part + at::get_thread_num() * columns);
    });
    return {input_gradient, parts.sum(0), at::Tensor()};
  }
};

}  // namespace

at::Tensor rms_norm_training(const at::Tensor& x, const at::Tensor& weight, double eps) {
  return RmsNorm::apply(x, weight, eps);
}

}  // namespace qtk::model
