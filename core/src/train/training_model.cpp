#include "train/training_model.hpp"

#include "base/nearest_name.hpp"
#include "model/cross_entropy.hpp"
#include "train/activation_checkpoint.hpp"
#include "train/checkpoint.hpp"

#include <qtk/runtime/check.hpp>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <set>

namespace qtk::train {
namespace {

double own_or(double own, double general) { return std::isnan(own) ? general : own; }

AdamWSettings settings_of(const config::OptimizerSection& section, const std::string& group,
                          const at::Tensor& leaf) {
  config::OptimizerGroup own;
  if (const auto found = section.groups.find(group); found != section.groups.end())
    own = found->second;
  const auto& betas = own.betas.empty() ? section.betas : own.betas;
  // Norms and biases are not to be pulled to zero, unless their group says so.
  const double decay = leaf.dim() < 2 && std::isnan(own.weight_decay) ? 0 : section.weight_decay;
  return {.lr = own_or(own.lr, section.lr),
          .beta1 = betas.at(0),
          .beta2 = betas.at(1),
          .eps = own_or(own.eps, section.eps),
          .weight_decay = own_or(own.weight_decay, decay)};
}

}  // namespace

TrainingModel::TrainingModel(model::Decoder& decoder, model::Decoder* teacher,
                             const config::TrainSection& settings)
    : decoder_(decoder), teacher_(teacher), settings_(settings) {
  std::set<std::string> replaced;
  for (const auto& site : decoder_.sites()) {
    auto* attached = decoder_.attached(site.index);
    if (!attached) continue;
    auto* layer = dynamic_cast<TrainableLinear*>(attached);
    QTK_CHECK(layer, site.name, " is quantized by a layer that cannot be trained");
    sites_.push_back(site);
    layers_.push_back(layer);
    replaced.insert(site.name + ".weight");
    for (auto& tensor : layer->trainable())
      tensors_.push_back({site.name + "." + tensor.name, tensor.group, tensor.leaf, tensor.storage,
                          tensor.is_collect_only});
  }
  if (!settings_.train_rest) return;
  const auto& part = decoder_.part();
  const std::string embedding =
      model::base_part_name(decoder_.family(), decoder_.family().embedding) + ".weight";
  for (auto& parameter : decoder_.parameters()) {
    if (replaced.contains(parameter.name)) continue;
    parameter.tensor.requires_grad_();
    if (decoder_.config().is_tied && parameter.name == embedding) {
      if (!part.has_head) {
        borrowed_embedding_ = parameter.tensor;
        continue;
      }
      own_tied_embedding_ = parameter.tensor;
    }
    tensors_.push_back({parameter.name, kRestGroup, parameter.tensor, nullptr});
  }
}

std::vector<OptimizedTensor> TrainingModel::optimized(
    const config::OptimizerSection& section) const {
  std::vector<OptimizedTensor> optimized;
  std::set<std::string> groups;
  for (const auto& tensor : tensors_) {
    if (tensor.is_collect_only) continue;
    groups.insert(tensor.group);
    optimized.push_back({tensor.name, tensor.leaf, tensor.storage,
                         settings_of(section, tensor.group, tensor.leaf)});
  }
  if (!decoder_.part().has_embedding || !decoder_.part().has_head) return optimized;
  const std::vector<std::string> known(groups.begin(), groups.end());
  for (const auto& [name, group] : section.groups)
    if (!groups.contains(name))
      throw ConfigError("optimizer.groups." + name + " has no effect: no tensor is in that group",
                        "groups of this run: " + join(known));
  if (optimized.empty())
    throw ConfigError("there is nothing to train: no layer is quantized and train_rest is false",
                      "add `quantizer`, or set train.train_rest: true");
  return optimized;
}

at::Tensor TrainingModel::hidden(const at::Tensor& ids, const at::Tensor& input) {
  const auto& part = decoder_.part();
  auto x = part.has_embedding ? decoder_.embed(ids) : input;
  for (int64_t layer = part.first_layer; layer < part.last_layer; ++layer)
    x = settings_.activation_checkpointing ? checkpointed_block(decoder_, layer, x)
                                           : decoder_.block(layer, x);
  return part.has_head ? decoder_.final_norm(x) : x;
}

TokenLoss TrainingModel::loss(const at::Tensor& ids, const at::Tensor& targets, double scale) {
  return loss_of(hidden(ids), ids, targets, scale);
}

TokenLoss TrainingModel::loss_of(const at::Tensor& hidden, const at::Tensor& ids,
                                 const at::Tensor& targets, double scale) {
  const LossSettings settings{.divergence_weight = settings_.distill.weight,
                              .temperature = settings_.distill.temperature};
  TeacherView teacher;
  if (teacher_) {
    const at::NoGradGuard no_grad;
    teacher = {teacher_->hidden(ids).flatten(0, 1), teacher_->head_weight()};
  }
  const Predictions predictions{hidden.flatten(0, 1), targets.flatten(), scale};
  const auto head = model::Head::of(decoder_);
  return head.weight.defined() ? token_loss(predictions, head.weight, settings, teacher)
                               : projected_token_loss(predictions, head, settings, teacher);
}

std::vector<at::Tensor> TrainingModel::gradients() const {
  std::vector<at::Tensor> gradients;
  for (const auto& tensor : tensors_)
    if (!tensor.is_collect_only && tensor.leaf.grad().defined())
      gradients.push_back(tensor.leaf.grad());
  return gradients;
}

void TrainingModel::clear_gradients() {
  for (const auto& tensor : tensors_) tensor.leaf.mutable_grad().reset();
  if (borrowed_embedding_.defined()) borrowed_embedding_.mutable_grad().reset();
}

void TrainingModel::set_knobs(const KnobSchedule* schedule, int64_t step) {
  for (size_t i = 0; i < layers_.size(); ++i)
    layers_[i]->set(schedule ? schedule->at(step, i) : Knobs{});
}

void TrainingModel::before_step(const StepInfo& info) {
  const at::NoGradGuard no_grad;
  for (auto* layer : layers_) layer->before_step(info);
}

void TrainingModel::after_step(const StepInfo& info) {
  const at::NoGradGuard no_grad;
  for (auto* layer : layers_) layer->after_step(info);
}

void TrainingModel::save(TrainState& state) const {
  for (const auto& tensor : tensors_) state.put("tensors/" + tensor.name, tensor.leaf);
  for (size_t i = 0; i < layers_.size(); ++i) {
    ScopedWriter writer(state, "layers/" + sites_[i].name);
    layers_[i]->save(writer);
  }
}

void TrainingModel::load(const TrainState& state) {
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < layers_.size(); ++i) {
    ScopedReader reader(state, "layers/" + sites_[i].name);
    layers_[i]->load(reader);
  }
  for (auto& tensor : tensors_) {
    const auto& saved = state.tensor("tensors/" + tensor.name);
    QTK_CHECK(saved.sizes() == tensor.leaf.sizes(), "the saved ", tensor.name, " is ",
              saved.sizes(), ", not ", tensor.leaf.sizes());
    tensor.leaf.copy_(saved);
  }
}

}  // namespace qtk::train
