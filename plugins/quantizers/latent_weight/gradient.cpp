#include "latent_weight/gradient.hpp"

#include <qtk/runtime/check.hpp>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/function.h>

#include <memory>
#include <string>
#include <utility>

namespace qtk::latent {
namespace {

class LatentWeightBackward final : public torch::autograd::Node {
 public:
  LatentWeightBackward(Backward backward, at::ScalarType latent_dtype)
      : backward_(std::move(backward)), latent_dtype_(latent_dtype) {}

  std::string name() const override { return "LatentWeightBackward"; }
  void release_variables() override { backward_ = nullptr; }

 private:
  torch::autograd::variable_list apply(torch::autograd::variable_list&& gradients) override {
    QTK_CHECK(backward_, "backward ran a second time through a graph that is freed");
    if (!gradients[0].defined()) return {at::Tensor()};
    return {backward_(gradients[0]).to(latent_dtype_)};
  }

  Backward backward_;
  const at::ScalarType latent_dtype_;
};

}  // namespace

bool records_gradient(const at::Tensor& latent) {
  return at::GradMode::is_enabled() && latent.requires_grad();
}

at::Tensor with_backward(const at::Tensor& latent, const at::Tensor& value, Backward backward) {
  QTK_CHECK(value.sizes() == latent.sizes(), "the value of a latent weight ", latent.sizes(),
            " is ", value.sizes());
  at::Tensor result = value.detach();
  if (!records_gradient(latent)) return result;
  // Nodes are deleted by LibTorch's own function, which takes long graphs apart without recursion.
  const std::shared_ptr<LatentWeightBackward> node(
      new LatentWeightBackward(std::move(backward), latent.scalar_type()),
      torch::autograd::deleteNode);
  node->set_next_edges(torch::autograd::collect_next_edges(latent));
  torch::autograd::create_gradient_edge(result, node);
  return result;
}

at::Tensor straight_through(const at::Tensor& latent, const at::Tensor& value) {
  return with_backward(latent, value, [](const at::Tensor& gradient) { return gradient; });
}

}  // namespace qtk::latent
