#include "model/decoder_model.hpp"

#include "model/gradients.hpp"
#include "model/tensor_layout.hpp"
#include "model/weight_loading.hpp"

#include <qtk/linear_product.hpp>
#include <qtk/runtime/check.hpp>

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

namespace qtk::model {
namespace {

/// Takes weights by name and builds the parts of a decoder from them.
class Assembler {
 public:
  Assembler(const Family& family, const DecoderConfig& config,
            const std::map<std::string, at::Tensor>& weights)
      : family_(family), config_(config), weights_(weights) {}

  at::Tensor optional(const std::string& name) const {
    const auto found = weights_.find(name);
    return found == weights_.end() ? at::Tensor() : found->second;
  }

  Norm norm(const std::string& name, NormKind kind) const {
    return {.kind = kind,
            .weight = optional(name + ".weight"),
            .bias = optional(name + ".bias"),
            .eps = config_.norm_eps};
  }

  LinearSlot linear(const std::string& name, bool is_conv1d) const {
    return {name, optional(name + ".weight"), optional(name + ".bias"), is_conv1d};
  }

  DecoderBlock block(int64_t layer) const {
    const auto block_norm = [&](const PartName& part, NormKind kind) {
      return norm(block_part_name(family_, layer, part), kind);
    };
    std::optional<Norm> query_norm, key_norm;
    if (family_.has_qk_norm) {
      query_norm = block_norm(family_.query_norm, NormKind::kRms);
      key_norm = block_norm(family_.key_norm, NormKind::kRms);
    }
    return {
        .attention_norm = block_norm(family_.attention_norm, family_.norm),
        .attention = {.inputs = group(layer, {Role::kQuery, Role::kKey, Role::kValue, Role::kQkv}),
                      .output = group(layer, {Role::kAttentionOut}),
                      .query_norm = std::move(query_norm),
                      .key_norm = std::move(key_norm),
                      .num_heads = config_.num_heads,
                      .num_kv_heads = config_.num_kv_heads,
                      .head_dim = config_.head_dim,
                      .window = config_.window_of(layer)},
        .mlp_norm = block_norm(family_.mlp_norm, family_.norm),
        .mlp = {.inputs = group(layer, {Role::kGate, Role::kUp, Role::kGateUp}),
                .output = group(layer, {Role::kDown}),
                .activation = family_.activation,
                .is_gated = family_.is_gated()}};
  }

 private:
  /// The projections of the family that have one of the roles, in the table's order.
  LinearGroup group(int64_t layer, std::initializer_list<Role> roles) const {
    std::vector<LinearSlot> slots;
    for (const auto& [role, name] : family_.projections)
      if (std::ranges::count(roles, role) > 0)
        slots.push_back(linear(block_part_name(family_, layer, name), family_.is_conv1d));
    return LinearGroup(std::move(slots));
  }

  const Family& family_;
  const DecoderConfig& config_;
  const std::map<std::string, at::Tensor>& weights_;
};

at::ScalarType compute_dtype_of(const at::Tensor& embedding) {
  const auto stored = embedding.scalar_type();
  return embedding.device().is_cpu() && stored != at::kDouble ? at::kFloat : stored;
}

void check_ids(const at::Tensor& ids, const DecoderConfig& config) {
  QTK_CHECK(ids.dim() == 2 && ids.scalar_type() == at::kLong, "ids must be [B, S] int64, not ",
            ids.sizes(), " ", ids.scalar_type());
  if (!ids.device().is_cpu() || ids.numel() == 0) return;
  const auto [low, high] = ids.aminmax();
  const int64_t outside = low.item<int64_t>() < 0 ? low.item<int64_t>() : high.item<int64_t>();
  if (outside < 0 || outside >= config.vocab_size)
    throw DataError("token id " + std::to_string(outside) +
                        " is outside of the model's vocabulary of " +
                        std::to_string(config.vocab_size),
                    "use the tokenizer that belongs to the model");
}

/// x + y. Without gradients the output of a dense layer is nobody else's, and its memory is used
/// again.
at::Tensor with_residual(const at::Tensor& x, at::Tensor y, const LinearGroup& made_by) {
  return made_by.is_dense() && !needs_gradient({x, y}) ? y.add_(x) : x + y;
}

}  // namespace

DecoderModel::DecoderModel(const Family& family, DecoderConfig config,
                           const std::map<std::string, at::Tensor>& weights,
                           std::optional<at::ScalarType> compute_dtype,
                           std::optional<ModelPart> part)
    : family_(family),
      config_(std::move(config)),
      part_(part.value_or(ModelPart{.first_layer = 0, .last_layer = config_.num_layers})),
      sites_(linear_sites(family_, config_)) {
  const Assembler assembler(family_, config_, weights);
  for (const auto& slot : tensor_layout(family_, config_))
    if (auto tensor = assembler.optional(slot.name); tensor.defined())
      parameters_.push_back({slot.name, tensor});
  embedding_ = assembler.optional(base_part_name(family_, family_.embedding) + ".weight");
  const at::Tensor& any = parameters_.front().tensor;
  compute_dtype_ =
      compute_dtype.value_or(compute_dtype_of(embedding_.defined() ? embedding_ : any));
  if (family_.position == PositionKind::kLearned)
    position_table_ =
        assembler.optional(base_part_name(family_, family_.position_table) + ".weight");
  else
    rotary_ = std::make_unique<Rotary>(config_, any.device());
  for (int64_t layer = 0; layer < config_.num_layers; ++layer)
    blocks_.push_back(assembler.block(layer));
  final_norm_ = assembler.norm(base_part_name(family_, family_.final_norm), family_.norm);
  if (!config_.is_tied) {
    std::vector<LinearSlot> slots;
    slots.push_back(assembler.linear(base_part_name(family_, family_.head), /*is_conv1d=*/false));
    head_ = std::make_unique<LinearGroup>(std::move(slots));
  }
  list_places();
}

std::unique_ptr<Decoder> Decoder::load(const std::filesystem::path& folder,
                                       const LoadOptions& options) {
  const c10::InferenceMode normal(false);  // weights may take part in autograd later
  auto config = read_decoder_config(folder);
  if (!config.quantization_method.empty() && !options.is_packed)
    throw DataError((folder / "config.json").string() +
                        ": 'quantization_config' says that the weights are packed by " +
                        config.quantization_method + ", expected dense weights",
                    "use the model in its dense form, or import it first");
  if (options.compute_dtype && options.device.is_cpu() &&
      at::isReducedFloatingType(*options.compute_dtype))
    throw ConfigError(
        std::string("the CPU computes in fp32, not in ") + c10::toString(*options.compute_dtype),
        "use fp32, or a GPU");
  const Family& family = *find_family(config.model_type);
  const auto tensors = format::TensorFolder::open(folder);
  const auto weights = load_weights(tensors, family, config, options);
  return std::make_unique<DecoderModel>(family, std::move(config), weights, options.compute_dtype,
                                        options.part);
}

at::Tensor DecoderModel::embed(const at::Tensor& ids) {
  QTK_CHECK(part_.has_embedding, "this part of the model has no embedding");
  check_ids(ids, config_);
  auto x = at::embedding(embedding_, ids).to(compute_dtype_);
  if (!position_table_.defined()) return x;
  const int64_t positions = ids.size(1);
  if (positions > config_.max_positions)
    throw DataError("a sequence of " + std::to_string(positions) +
                        " tokens is longer than the model's " +
                        std::to_string(config_.max_positions) + " learned positions",
                    "use a shorter context");
  return x + position_table_.narrow(0, 0, positions).to(compute_dtype_);
}

at::Tensor DecoderModel::block(int64_t layer, const at::Tensor& x) {
  QTK_CHECK(x.dim() == 3 && x.size(2) == config_.hidden_size, "a block takes [B, S, ",
            config_.hidden_size, "], not ", x.sizes());
  QTK_CHECK(layer >= part_.first_layer && layer < part_.last_layer, "layer ", layer,
            " is not in this part of the model, which has ", part_.first_layer, " to ",
            part_.last_layer - 1);
  const auto& block = blocks_.at(static_cast<size_t>(layer));
  const auto rotary = rotary_ ? rotary_->table(x.size(1)) : RotaryTable{};
  const auto& attention = block.attention;
  const auto y = with_residual(
      x,
      attention.forward(block.attention_norm.forward(x, attention_form_), rotary, attention_form_),
      attention.output);
  return with_residual(
      y, block.mlp.forward(block.mlp_norm.forward(y, attention_form_), attention_form_),
      block.mlp.output);
}

at::Tensor DecoderModel::head(const at::Tensor& x) {
  return head_ ? head_->forward_single(x) : linear_product(x, embedding_);
}

at::Tensor DecoderModel::head_weight() const {
  if (!head_) return embedding_;
  const auto& slot = head_->slot(0);
  return slot.attached() ? at::Tensor() : slot.weight();
}

const DecoderModel::Place& DecoderModel::place(int64_t site) const {
  QTK_CHECK(site >= 0 && site < static_cast<int64_t>(places_.size()), "site ", site, " of ",
            places_.size());
  return places_[static_cast<size_t>(site)];
}

void DecoderModel::attach(int64_t site, std::unique_ptr<QuantizedLinear> layer) {
  QTK_CHECK(layer, "attach() needs a layer; detach() returns to the dense weight");
  place(site).group->attach(place(site).index, std::move(layer));
}

void DecoderModel::detach(int64_t site) { place(site).group->attach(place(site).index, nullptr); }

void DecoderModel::fuse(const std::function<Quantizer*(int64_t site)>& quantizer_of) {
  int64_t site = 0;  // the groups' slots, one after another, are the sites
  for (auto* group : groups()) {
    std::vector<Quantizer*> makers;
    for (size_t index = 0; index < group->size(); ++index) makers.push_back(quantizer_of(site++));
    group->fuse(makers);
  }
}

std::vector<LinearGroup*> DecoderModel::groups() {
  std::vector<LinearGroup*> groups;
  for (auto& block : blocks_)
    for (auto* group :
         {&block.attention.inputs, &block.attention.output, &block.mlp.inputs, &block.mlp.output})
      groups.push_back(group);
  if (head_) groups.push_back(head_.get());
  return groups;
}

// The groups' slots, one after another, are the sites in order of use.
void DecoderModel::list_places() {
  for (auto* group : groups())
    for (size_t index = 0; index < group->size(); ++index) {
      QTK_CHECK(group->slot(index).name() == sites_.at(places_.size()).name,
                "the family table lists ", group->slot(index).name(), " out of order");
      places_.push_back({group, index});
    }
}

}  // namespace qtk::model
