#include "model/family.hpp"

#include <algorithm>

namespace qtk::model {
namespace {

constexpr Projection kSeparate[] = {
    {Role::kQuery, {"self_attn.q_proj", "attn_q"}},
    {Role::kKey, {"self_attn.k_proj", "attn_k"}},
    {Role::kValue, {"self_attn.v_proj", "attn_v"}},
    {Role::kAttentionOut, {"self_attn.o_proj", "attn_output"}},
    {Role::kGate, {"mlp.gate_proj", "ffn_gate"}},
    {Role::kUp, {"mlp.up_proj", "ffn_up"}},
    {Role::kDown, {"mlp.down_proj", "ffn_down"}},
};
constexpr Projection kPhi3[] = {
    {Role::kQkv, {"self_attn.qkv_proj", "attn_qkv"}},
    {Role::kAttentionOut, {"self_attn.o_proj", "attn_output"}},
    {Role::kGateUp, {"mlp.gate_up_proj", "ffn_up"}},
    {Role::kDown, {"mlp.down_proj", "ffn_down"}},
};
constexpr Projection kGpt2[] = {
    {Role::kQkv, {"attn.c_attn", "attn_qkv"}},
    {Role::kAttentionOut, {"attn.c_proj", "attn_output"}},
    {Role::kUp, {"mlp.c_fc", "ffn_up"}},
    {Role::kDown, {"mlp.c_proj", "ffn_down"}},
};
constexpr RequiredFlag kGpt2Flags[] = {
    {"scale_attn_weights", true},
    {"scale_attn_by_inverse_layer_idx", false},
    {"add_cross_attention", false},
};
constexpr RequiredFlag kQwenFlags[] = {{"use_mrope", false}};

// What Llama and its descendants share.
constexpr Family kLlama = {
    .model_type = "llama",
    .hugging_face_class = "LlamaForCausalLM",
    .qkv_bias = BiasRule::kByField,
    .out_bias = BiasRule::kByField,
    .mlp_bias = BiasRule::kByField,
    .projections = kSeparate,
    .base_prefix = "model.",
    .layer_prefix = "layers.",
    .embedding = {"embed_tokens", "token_embd"},
    .final_norm = {"norm", "output_norm"},
    .head = {"lm_head", "output"},
    .attention_norm = {"input_layernorm", "attn_norm"},
    .mlp_norm = {"post_attention_layernorm", "ffn_norm"},
    .gguf_architecture = "llama",
    .gguf_permutes_qk = true,
    .defaults = {.vocab_size = 32000,
                 .hidden_size = 4096,
                 .intermediate_size = 11008,
                 .num_layers = 32,
                 .num_heads = 32,
                 .max_positions = 2048},
};

constexpr Family mistral() {
  Family family = kLlama;
  family.model_type = "mistral";
  family.hugging_face_class = "MistralForCausalLM";
  family.qkv_bias = family.out_bias = family.mlp_bias = BiasRule::kNever;
  family.window = WindowRule::kEveryLayer;
  family.defaults.intermediate_size = 14336;
  family.defaults.num_kv_heads = 8;
  family.defaults.max_positions = 131072;
  family.defaults.sliding_window = 4096;
  return family;
}

constexpr Family qwen2() {
  Family family = kLlama;
  family.model_type = "qwen2";
  family.hugging_face_class = "Qwen2ForCausalLM";
  family.qkv_bias = BiasRule::kAlways;
  family.out_bias = family.mlp_bias = BiasRule::kNever;
  family.window = WindowRule::kBySwitch;
  family.gguf_architecture = "qwen2";
  family.gguf_permutes_qk = false;
  family.defaults = {.vocab_size = 151936,
                     .hidden_size = 4096,
                     .intermediate_size = 22016,
                     .num_layers = 32,
                     .num_heads = 32,
                     .num_kv_heads = 32,
                     .max_positions = 32768,
                     .sliding_window = 4096};
  family.required_flags = kQwenFlags;
  return family;
}

constexpr Family qwen3() {
  Family family = qwen2();
  family.model_type = "qwen3";
  family.hugging_face_class = "Qwen3ForCausalLM";
  family.has_qk_norm = true;
  family.qkv_bias = family.out_bias = BiasRule::kByField;
  family.query_norm = {"self_attn.q_norm", "attn_q_norm"};
  family.key_norm = {"self_attn.k_norm", "attn_k_norm"};
  family.gguf_architecture = "qwen3";
  family.defaults.head_dim = 128;
  return family;
}

constexpr Family phi3() {
  Family family = kLlama;
  family.model_type = "phi3";
  family.hugging_face_class = "Phi3ForCausalLM";
  family.allows_partial_rotary = true;
  family.allows_rope_scaling = false;  // only "longrope" exists for it, which is not supported
  family.qkv_bias = family.out_bias = family.mlp_bias = BiasRule::kNever;
  family.window = WindowRule::kEveryLayer;
  family.projections = kPhi3;
  family.gguf_architecture = "phi3";
  family.gguf_permutes_qk = false;
  family.defaults = {.vocab_size = 32064,
                     .hidden_size = 3072,
                     .intermediate_size = 8192,
                     .num_layers = 32,
                     .num_heads = 32,
                     .max_positions = 4096,
                     .norm_eps = 1e-5};
  return family;
}

constexpr Family gpt2() {
  return {
      .model_type = "gpt2",
      .hugging_face_class = "GPT2LMHeadModel",
      .norm = NormKind::kLayer,
      .position = PositionKind::kLearned,
      .activation = Activation::kGeluTanh,
      .is_conv1d = true,
      .allows_rope_scaling = false,
      .qkv_bias = BiasRule::kAlways,
      .out_bias = BiasRule::kAlways,
      .mlp_bias = BiasRule::kAlways,
      .projections = kGpt2,
      .base_prefix = "transformer.",
      .layer_prefix = "h.",
      .embedding = {"wte", "token_embd"},
      .position_table = {"wpe", "position_embd"},
      .final_norm = {"ln_f", "output_norm"},
      .head = {"lm_head", "output"},
      .attention_norm = {"ln_1", "attn_norm"},
      .mlp_norm = {"ln_2", "ffn_norm"},
      .gguf_architecture = "gpt2",
      .keys = {.hidden_size = "n_embd",
               .intermediate_size = "n_inner",
               .num_layers = "n_layer",
               .num_heads = "n_head",
               .max_positions = "n_positions",
               .norm_eps = "layer_norm_epsilon",
               .activation = "activation_function"},
      .defaults = {.vocab_size = 50257,
                   .hidden_size = 768,
                   .intermediate_size = 0,
                   .num_layers = 12,
                   .num_heads = 12,
                   .max_positions = 1024,
                   .norm_eps = 1e-5,
                   .is_tied = true},
      .required_flags = kGpt2Flags,
  };
}

constexpr Family kFamilies[] = {gpt2(), kLlama, mistral(), phi3(), qwen2(), qwen3()};

}  // namespace

bool Family::is_gated() const { return projection(Role::kGate) || projection(Role::kGateUp); }

const Projection* Family::projection(Role role) const {
  const auto found = std::ranges::find(projections, role, &Projection::role);
  return found == projections.end() ? nullptr : &*found;
}

std::span<const Family> families() { return kFamilies; }

const Family* find_family(std::string_view model_type) {
  const auto* found = std::ranges::find(kFamilies, model_type, &Family::model_type);
  return found == std::end(kFamilies) ? nullptr : found;
}

const Family* find_gguf_family(std::string_view architecture) {
  const auto* found = std::ranges::find(kFamilies, architecture, &Family::gguf_architecture);
  return found == std::end(kFamilies) ? nullptr : found;
}

std::string known_families() {
  std::string text;
  for (const auto& family : kFamilies) {
    if (!text.empty()) text += ", ";
    text += family.model_type;
  }
  return text;
}

std::string block_part_name(const Family& family, int64_t layer, const PartName& part) {
  return std::string(family.base_prefix) + std::string(family.layer_prefix) +
         std::to_string(layer) + "." + std::string(part.hugging_face);
}

std::string base_part_name(const Family& family, const PartName& part) {
  const bool is_head = part.hugging_face == family.head.hugging_face;
  return (is_head ? "" : std::string(family.base_prefix)) + std::string(part.hugging_face);
}

std::string gguf_block_part_name(int64_t layer, const PartName& part) {
  return "blk." + std::to_string(layer) + "." + std::string(part.gguf);
}

}  // namespace qtk::model
