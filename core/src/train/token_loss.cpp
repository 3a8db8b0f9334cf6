#include "train/token_loss.hpp"

#include "model/gradients.hpp"
#include "text/windows.hpp"
#include "train/softmax_rows.hpp"

#include <qtk/linear_product.hpp>
#include <qtk/runtime/check.hpp>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

namespace qtk::train {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Logits of one chunk: 128 MB on the CPU, where a chunk must also be worth its pass over the
// gradient of the head; 512 MB on a GPU.
constexpr int64_t kCpuLogits = int64_t{32} << 20, kGpuLogits = int64_t{128} << 20;

/// Equal chunks of at most as many tokens as the limit allows.
int64_t chunk_tokens(int64_t tokens, int64_t vocab_size, c10::Device device) {
  const int64_t limit = device.is_cpu() ? kCpuLogits : kGpuLogits;
  const int64_t most = std::max<int64_t>(1, limit / vocab_size);
  const int64_t chunks = std::max<int64_t>(1, (tokens + most - 1) / most);
  return (tokens + chunks - 1) / chunks;
}

/// What one chunk adds to the sums, and the gradient of its logits.
struct ChunkLoss {
  at::Tensor cross_entropy;  // [] fp32
  at::Tensor divergence;     // [] fp32 or undefined
  at::Tensor gradient;       // [n, V], as the logits
};

/// sum of -log p(target) and its gradient (p - 1[target]), times scale and weight.
ChunkLoss cross_entropy_chunk(at::Tensor logits, const at::Tensor& targets, double scale) {
  if (logits.device().is_cpu() && logits.scalar_type() == at::kFloat) {
    const auto nll = at::empty({logits.size(0)}, at::kDouble);
    softmax_gradient_rows(logits, targets, scale, nll);
    return {(nll.sum() * scale).to(at::kFloat), {}, std::move(logits)};
  }
  if (has_softmax_kernel(logits)) {
    const auto nll = at::empty({logits.size(0)}, logits.options().dtype(at::kFloat));
    softmax_gradient_cuda(logits, targets, scale, nll);
    return {nll.sum() * scale, {}, std::move(logits)};
  }
  const auto dtype = logits.scalar_type();
  const auto wide = dtype == at::kDouble ? at::kDouble : at::kFloat;
  auto log_p = at::log_softmax(logits, 1, wide);
  const auto scored = targets.ne(text::kUnscoredTarget).unsqueeze(1).to(wide).mul_(scale);
  const auto places = targets.clamp_min(0).unsqueeze(1);
  const auto sum = log_p.gather(1, places).mul_(scored).sum().neg_();
  auto gradient = log_p.exp_().scatter_add_(1, places, at::full_like(scored, -1)).mul_(scored);
  return {sum.to(at::kFloat), {}, gradient.to(dtype)};
}

/// Both losses of one chunk and their gradients, mixed.
ChunkLoss mixed_chunk(const at::Tensor& logits, const at::Tensor& targets, double scale,
                      const LossSettings& settings, const at::Tensor& teacher_logits) {
  const double t = settings.temperature, share = settings.divergence_weight;
  const auto dtype = logits.scalar_type();
  const auto wide = dtype == at::kDouble ? at::kDouble : at::kFloat;
  const auto log_p = at::log_softmax(logits / t, 1, wide);
  const auto log_q = at::log_softmax(teacher_logits / t, 1, wide);
  const auto q = log_q.exp();
  const auto scored = targets.ne(text::kUnscoredTarget).unsqueeze(1).to(wide).mul_(scale);
  const auto divergence = (q * (log_q - log_p)).mul_(scored).sum().mul_(t * t);
  // d/dlogits of T^2 KL(q || p) is T (p - q).
  const auto towards = (log_p.exp() - q).mul_(scored).mul_(t * share);
  auto plain = cross_entropy_chunk(logits.clone(), targets, scale);
  plain.gradient = plain.gradient.mul_(1 - share).add_(towards);
  plain.divergence = divergence.to(at::kFloat);
  return plain;
}

/// Adds `left^T right` to `sum`, which is fp32 (or as wide as the factors) and undefined at first.
void add_product(at::Tensor& sum, const at::Tensor& left, const at::Tensor& right) {
  at::Tensor product;
  if (left.device().is_cpu())
    product = linear_product(left.t(), right.t());
  else if (left.scalar_type() == at::kFloat)
    product = at::mm(left.t(), right);
  else
    product = at::mm(left.t(), right, at::kFloat);
  if (sum.defined())
    sum.add_(product);
  else
    sum = std::move(product);
}

/// The chunks one after another; gradients only of what requires them.
struct ChunkedLoss {
  at::Tensor cross_entropy, divergence;
  at::Tensor of_hidden, of_weight;

  void run(const Predictions& p, const at::Tensor& weight, const LossSettings& settings,
           const TeacherView& teacher, bool wants_hidden, bool wants_weight) {
    const auto dtype = p.hidden.scalar_type();
    const auto head = weight.detach().to(dtype), hidden = p.hidden.detach();
    const auto teacher_head = teacher.weight.defined()
                                  ? teacher.weight.detach().to(teacher.hidden.scalar_type())
                                  : at::Tensor();
    const int64_t tokens = hidden.size(0);
    const int64_t size = chunk_tokens(tokens, head.size(0), hidden.device());
    if (wants_hidden) of_hidden = at::empty_like(hidden);
    cross_entropy = at::zeros({}, hidden.options().dtype(at::kFloat));
    divergence = at::zeros({}, hidden.options().dtype(at::kFloat));
    for (int64_t first = 0; first < tokens; first += size) {
      const int64_t count = std::min(size, tokens - first);
      const auto rows = hidden.narrow(0, first, count);
      const auto targets = p.targets.narrow(0, first, count);
      auto logits = linear_product(rows, head);
      const auto chunk =
          teacher_head.defined()
              ? mixed_chunk(logits, targets, p.scale, settings,
                            linear_product(teacher.hidden.narrow(0, first, count), teacher_head))
              : cross_entropy_chunk(std::move(logits), targets, p.scale);
      cross_entropy.add_(chunk.cross_entropy);
      if (chunk.divergence.defined()) divergence.add_(chunk.divergence);
      if (wants_hidden)
        of_hidden.narrow(0, first, count).copy_(linear_product(chunk.gradient, head.t()));
      if (wants_weight) add_product(of_weight, chunk.gradient, rows);
    }
    if (of_weight.defined()) of_weight = of_weight.to(weight.scalar_type());
  }

  at::Tensor loss(const LossSettings& settings, bool has_teacher) const {
    if (!has_teacher) return cross_entropy.clone();
    return cross_entropy * (1 - settings.divergence_weight) +
           divergence * settings.divergence_weight;
  }
};

struct TokenLossFunction : torch::autograd::Function<TokenLossFunction> {
  static variable_list forward(AutogradContext* context, const at::Tensor& hidden,
                               const at::Tensor& weight, const Predictions& predictions,
                               const LossSettings& settings, const TeacherView& teacher) {
    ChunkedLoss chunks;
    chunks.run(predictions, weight, settings, teacher, hidden.requires_grad(),
               weight.requires_grad());
    context->saved_data["hidden"] = chunks.of_hidden;
    context->saved_data["weight"] = chunks.of_weight;
    context->mark_non_differentiable({chunks.cross_entropy, chunks.divergence});
    return {chunks.loss(settings, teacher.hidden.defined()), chunks.cross_entropy,
            chunks.divergence};
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto found = context->saved_data.find("hidden");
    QTK_CHECK(found != context->saved_data.end(), "the token loss can be differentiated once");
    at::Tensor of_hidden = found->second.toTensor(),
               of_weight = context->saved_data["weight"].toTensor();
    context->saved_data.clear();
    const at::Tensor& factor = gradients[0];
    // A loss is usually the end of its graph, and then the pass over the head's gradient is saved.
    const bool is_one = factor.device().is_cpu() && factor.item<double>() == 1;
    for (auto* gradient : {&of_hidden, &of_weight})
      if (gradient->defined() && !is_one) gradient->mul_(factor);
    return {of_hidden, of_weight, {}, {}, {}};
  }
};

void check_inputs(const Predictions& p, const TeacherView& teacher) {
  QTK_CHECK(p.hidden.dim() == 2 && p.targets.dim() == 1 && p.targets.scalar_type() == at::kLong &&
                p.hidden.size(0) == p.targets.size(0) && p.hidden.device() == p.targets.device(),
            "the loss takes hidden [N, D] and targets [N] int64 on one device, not ",
            p.hidden.sizes(), " and ", p.targets.sizes());
  QTK_CHECK(teacher.hidden.defined() == teacher.weight.defined() &&
                (!teacher.hidden.defined() || teacher.hidden.size(0) == p.hidden.size(0)),
            "the teacher must see the same tokens");
}

}  // namespace

TokenLoss token_loss(const Predictions& predictions, const at::Tensor& weight,
                     const LossSettings& settings, const TeacherView& teacher) {
  check_inputs(predictions, teacher);
  const auto parts =
      TokenLossFunction::apply(predictions.hidden, weight, predictions, settings, teacher);
  return {parts[0], parts[1], parts[2]};
}

TokenLoss projected_token_loss(const Predictions& predictions, const model::Head& head,
                               const LossSettings& settings, const TeacherView& teacher) {
  check_inputs(predictions, teacher);
  const auto& hidden = predictions.hidden;
  const bool records = model::needs_gradient({hidden});
  const int64_t tokens = hidden.size(0);
  const int64_t size = chunk_tokens(tokens, head.vocab_size, hidden.device());
  const auto gradient = records ? at::empty_like(hidden) : at::Tensor();
  const auto zero = at::zeros({}, hidden.options().dtype(at::kFloat));
  TokenLoss sums{zero.clone(), zero.clone(), zero.clone()};
  for (int64_t first = 0; first < tokens; first += size) {
    const int64_t count = std::min(size, tokens - first);
    const auto rows = hidden.detach().narrow(0, first, count).requires_grad_(records);
    const auto teacher_logits =
        teacher.hidden.defined()
            ? linear_product(teacher.hidden.narrow(0, first, count), teacher.weight)
            : at::Tensor();
    const auto part =
        token_loss_ref(head.project(rows), predictions.targets.narrow(0, first, count),
                       predictions.scale, settings, teacher_logits);
    if (part.loss.requires_grad()) torch::autograd::backward({part.loss}, {});
    if (records) gradient.narrow(0, first, count).copy_(rows.grad());
    sums.loss.add_(part.loss.detach());
    sums.cross_entropy.add_(part.cross_entropy);
    sums.divergence.add_(part.divergence);
  }
  // A loss whose gradient is the one found: d (hidden . g) / d hidden = g.
  if (records) {
    const auto carrier = (hidden * gradient).sum().to(at::kFloat);
    sums.loss = carrier - carrier.detach() + sums.loss;
  }
  return sums;
}

TokenLoss token_loss_ref(const at::Tensor& logits, const at::Tensor& targets, double scale,
                         const LossSettings& settings, const at::Tensor& teacher_logits) {
  const auto wide = logits.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const auto rows = logits.to(wide);
  const auto nll =
      at::cross_entropy_loss(rows, targets, {}, at::Reduction::Sum, text::kUnscoredTarget) * scale;
  if (!teacher_logits.defined()) return {nll, nll.detach(), at::zeros_like(nll).detach()};
  const double t = settings.temperature;
  const auto log_p = at::log_softmax(rows / t, 1);
  const auto log_q = at::log_softmax(teacher_logits.to(wide) / t, 1);
  const auto scored = targets.ne(text::kUnscoredTarget).to(wide);
  const auto divergence = ((log_q.exp() * (log_q - log_p)).sum(1) * scored).sum() * (t * t * scale);
  const auto loss =
      nll * (1 - settings.divergence_weight) + divergence * settings.divergence_weight;
  return {loss, nll.detach(), divergence.detach()};
}

}  // namespace qtk::train
