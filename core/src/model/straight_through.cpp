#include "model/straight_through.hpp"

#include <qtk/runtime/check.hpp>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/function.h>

#include <memory>
#include <string>
#include <utility>

namespace qtk::model {
namespace {

/// The derivative is the identity, and so are all higher ones: the gradient keeps its own graph.
class StraightThroughBackward final : public torch::autograd::Node {
 public:
  std::string name() const override { return "StraightThroughBackward"; }

 private:
  torch::autograd::variable_list apply(torch::autograd::variable_list&& gradients) override {
    return std::move(gradients);
  }
};

}  // namespace

at::Tensor straight_through(const at::Tensor& latent, const at::Tensor& value) {
  QTK_CHECK(value.sizes() == latent.sizes() && value.scalar_type() == latent.scalar_type(),
            "straight-through value is ", value.toString(), " ", value.sizes(),
            ", its latent tensor ", latent.toString(), " ", latent.sizes());
  at::Tensor result = value.detach();
  if (!at::GradMode::is_enabled() || !latent.requires_grad()) return result;
  // Nodes are deleted by LibTorch's own function, which takes long graphs apart without recursion.
  const std::shared_ptr<StraightThroughBackward> node(new StraightThroughBackward,
                                                      torch::autograd::deleteNode);
  node->set_next_edges(torch::autograd::collect_next_edges(latent));
  torch::autograd::create_gradient_edge(result, node);
  return result;
}

}  // namespace qtk::model
