// The families of decoders: whatever differs between architectures is a column of this table. No
// other source compares model types.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace qtk::model {

enum class NormKind { kRms, kLayer };           // kLayer has a bias
enum class PositionKind { kRotary, kLearned };  // kLearned: a table added to the embedding
enum class Activation { kSilu, kGeluTanh };
enum class BiasRule { kNever, kAlways, kByField };  // kByField: "attention_bias", "mlp_bias"
enum class WindowRule {
  kNever,       // every layer sees all earlier positions
  kEveryLayer,  // "sliding_window" holds for all layers unless it is null
  kBySwitch,  // only with "use_sliding_window", in the layers that layer_types or max_window_layers
              // name
};

/// What a linear layer of a block does. Fused ones hold several, one after another along `out`.
enum class Role { kQuery, kKey, kValue, kQkv, kAttentionOut, kGate, kUp, kGateUp, kDown };

/// A part of a tensor's name in either world, without layer prefix and without ".weight".
struct PartName {
  std::string_view hugging_face;
  std::string_view gguf;
};

struct Projection {
  Role role;
  PartName name;
};

/// A flag of config.json that must have this value (or be absent), because the other one means
/// another computation.
struct RequiredFlag {
  std::string_view field;
  bool value;
};

/// Spelling of the fields in config.json; where a family has its own, the common one is understood
/// too.
struct ConfigKeys {
  std::string_view hidden_size = "hidden_size";
  std::string_view intermediate_size = "intermediate_size";
  std::string_view num_layers = "num_hidden_layers";
  std::string_view num_heads = "num_attention_heads";
  std::string_view max_positions = "max_position_embeddings";
  std::string_view norm_eps = "rms_norm_eps";
  std::string_view activation = "hidden_act";
};

/// What transformers assumes for an absent field.
struct ConfigDefaults {
  int64_t vocab_size;
  int64_t hidden_size;
  int64_t intermediate_size;  // 0: 4 x hidden_size
  int64_t num_layers;
  int64_t num_heads;
  int64_t num_kv_heads = 0;  // 0: num_heads
  int64_t head_dim = 0;      // 0: hidden_size / num_heads
  int64_t max_positions;
  double norm_eps = 1e-6;
  int64_t sliding_window = 0;  // 0: null
  bool is_tied = false;
};

struct Family {
  std::string_view model_type;
  std::string_view hugging_face_class;  // in config.json: "architectures"
  NormKind norm = NormKind::kRms;
  PositionKind position = PositionKind::kRotary;
  Activation activation = Activation::kSilu;
  bool is_conv1d = false;              // weights inside blocks are stored [in, out]
  bool has_qk_norm = false;            // RMS norm over each head of q and k before rotation
  bool allows_partial_rotary = false;  // "partial_rotary_factor" below 1
  bool allows_rope_scaling = true;     // rope types other than "default"
  BiasRule qkv_bias = BiasRule::kNever, out_bias = BiasRule::kNever, mlp_bias = BiasRule::kNever;
  WindowRule window = WindowRule::kNever;

  std::span<const Projection> projections;  // of one block, in order of use
  std::string_view base_prefix;             // "model."; checkpoints of the bare base model lack it
  std::string_view layer_prefix;  // follows base_prefix: "layers."; then the number and a dot
  PartName embedding, position_table, final_norm, head;
  PartName attention_norm, query_norm, key_norm, mlp_norm;  // inside a block

  std::string_view gguf_architecture;
  bool gguf_permutes_qk = false;  // q and k rows are stored with rotary pairs adjacent

  ConfigKeys keys;
  ConfigDefaults defaults;
  std::span<const RequiredFlag> required_flags;

  bool is_gated() const;
  /// The projection with this role, or null.
  const Projection* projection(Role role) const;
};

/// All rows.
std::span<const Family> families();
/// Null for an unknown model_type.
const Family* find_family(std::string_view model_type);
/// The first row with this GGUF architecture ("llama" also holds Mistral models), or null.
const Family* find_gguf_family(std::string_view architecture);
/// "gpt2, llama, mistral, ..."
std::string known_families();

/// "model.layers.3.self_attn.q_proj"
std::string block_part_name(const Family& family, int64_t layer, const PartName& part);
/// "model.norm"; the head stands outside of the base model: "lm_head"
std::string base_part_name(const Family& family, const PartName& part);
/// "blk.3.attn_q"
std::string gguf_block_part_name(int64_t layer, const PartName& part);

}  // namespace qtk::model
