#include "model/tensor_layout.hpp"

#include <qtk/runtime/check.hpp>

namespace qtk::model {
namespace {

bool is_attention_input(Role role) {
  return role == Role::kQuery || role == Role::kKey || role == Role::kValue || role == Role::kQkv;
}

/// Appends slots to a list, block after block.
class LayoutBuilder {
 public:
  LayoutBuilder(const Family& family, const DecoderConfig& config)
      : family_(family), config_(config) {}

  std::vector<TensorSlot> build() {
    const int64_t hidden = config_.hidden_size;
    base_part(family_.embedding, "weight", {config_.vocab_size, hidden});
    if (family_.position == PositionKind::kLearned)
      base_part(family_.position_table, "weight", {config_.max_positions, hidden});
    for (int64_t layer = 0; layer < config_.num_layers; ++layer) block(layer);
    place_ = SlotPlace::kHead;
    base_part(family_.final_norm, "weight", {hidden});
    if (family_.norm == NormKind::kLayer) base_part(family_.final_norm, "bias", {hidden});
    if (!config_.is_tied) {
      base_part(family_.head, "weight", {config_.vocab_size, hidden});
      slots_.back().site = base_part_name(family_, family_.head);
    }
    return std::move(slots_);
  }

 private:
  void block(int64_t layer) {
    norm(layer, family_.attention_norm);
    for (const auto& projection : family_.projections) {
      if (projection.role == Role::kAttentionOut) head_norms(layer);
      if (projection.role == Role::kGate || projection.role == Role::kGateUp ||
          (projection.role == Role::kUp && !family_.is_gated()))
        norm(layer, family_.mlp_norm);
      linear(layer, projection);
    }
  }

  void norm(int64_t layer, const PartName& part) {
    block_part(layer, part, "weight", {config_.hidden_size});
    if (family_.norm == NormKind::kLayer) block_part(layer, part, "bias", {config_.hidden_size});
  }

  void head_norms(int64_t layer) {
    if (!family_.has_qk_norm) return;
    block_part(layer, family_.query_norm, "weight", {config_.head_dim});
    block_part(layer, family_.key_norm, "weight", {config_.head_dim});
  }

  void linear(int64_t layer, const Projection& projection) {
    const int64_t out = out_features(config_, projection.role),
                  in = in_features(config_, projection.role);
    const int64_t heads = projection.role == Role::kQuery ? config_.num_heads
                          : projection.role == Role::kKey ? config_.num_kv_heads
                                                          : 0;
    const auto place = [&](TensorSlot& slot) {
      slot.permuted_heads = family_.gguf_permutes_qk ? heads : 0;
    };
    block_part(layer, projection.name, "weight",
               family_.is_conv1d ? std::vector<int64_t>{in, out} : std::vector<int64_t>{out, in});
    place(slots_.back());
    slots_.back().is_conv1d = family_.is_conv1d;
    slots_.back().site = block_part_name(family_, layer, projection.name);
    if (!has_bias(config_, projection.role)) return;
    block_part(layer, projection.name, "bias", {out});
    place(slots_.back());
  }

  void block_part(int64_t layer, const PartName& part, const std::string& kind,
                  std::vector<int64_t> shape) {
    place_ = SlotPlace::kBlock;
    add(block_part_name(family_, layer, part), gguf_block_part_name(layer, part), kind,
        std::move(shape));
    slots_.back().layer = layer;
  }
  void base_part(const PartName& part, const std::string& kind, std::vector<int64_t> shape) {
    add(base_part_name(family_, part), std::string(part.gguf), kind, std::move(shape));
  }
  void add(const std::string& name, const std::string& gguf, const std::string& kind,
           std::vector<int64_t> shape) {
    slots_.push_back({.name = name + "." + kind,
                      .gguf_name = gguf + "." + kind,
                      .shape = std::move(shape),
                      .site = {},
                      .place = place_});
  }

  const Family& family_;
  const DecoderConfig& config_;
  SlotPlace place_ = SlotPlace::kEmbedding;  // of the next slot
  std::vector<TensorSlot> slots_;
};

LinearSite make_site(std::string name, int block, int64_t out, int64_t in) {
  std::string role = name.substr(name.rfind('.') + 1);
  return {.name = std::move(name),
          .block = block,
          .role = std::move(role),
          .out_features = out,
          .in_features = in};
}

}  // namespace

int64_t out_features(const DecoderConfig& config, Role role) {
  const int64_t queries = config.num_heads * config.head_dim;
  const int64_t keys = config.num_kv_heads * config.head_dim;
  switch (role) {
    case Role::kQuery:
      return queries;
    case Role::kKey:
    case Role::kValue:
      return keys;
    case Role::kQkv:
      return queries + 2 * keys;
    case Role::kAttentionOut:
    case Role::kDown:
      return config.hidden_size;
    case Role::kGate:
    case Role::kUp:
      return config.intermediate_size;
    case Role::kGateUp:
      return 2 * config.intermediate_size;
  }
  QTK_CHECK(false, "unknown role");
  return 0;
}

int64_t in_features(const DecoderConfig& config, Role role) {
  if (role == Role::kAttentionOut) return config.num_heads * config.head_dim;
  return role == Role::kDown ? config.intermediate_size : config.hidden_size;
}

bool has_bias(const DecoderConfig& config, Role role) {
  if (is_attention_input(role)) return config.has_qkv_bias;
  return role == Role::kAttentionOut ? config.has_out_bias : config.has_mlp_bias;
}

std::vector<TensorSlot> tensor_layout(const Family& family, const DecoderConfig& config) {
  return LayoutBuilder(family, config).build();
}

std::vector<LinearSite> linear_sites(const Family& family, const DecoderConfig& config) {
  std::vector<LinearSite> sites;
  for (int64_t layer = 0; layer < config.num_layers; ++layer)
    for (const auto& [role, name] : family.projections)
      sites.push_back(make_site(block_part_name(family, layer, name), static_cast<int>(layer),
                                out_features(config, role), in_features(config, role)));
  if (!config.is_tied)
    sites.push_back(
        make_site(base_part_name(family, family.head), -1, config.vocab_size, config.hidden_size));
  for (size_t index = 0; index < sites.size(); ++index)
    sites[index].index = static_cast<int64_t>(index);
  return sites;
}

}  // namespace qtk::model
