#include "model/tensor_layout.hpp"

#include "golden.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace qtk::model {
namespace {

std::vector<std::string> site_names(const DecoderConfig& config) {
  std::vector<std::string> names;
  for (const auto& site : linear_sites(*find_family(config.model_type), config))
    names.push_back(site.name);
  return names;
}

const TensorSlot& slot_named(const std::vector<TensorSlot>& layout, const std::string& name) {
  const auto found = std::ranges::find(layout, name, &TensorSlot::name);
  if (found == layout.end()) throw std::runtime_error("no " + name);
  return *found;
}

TEST(TensorLayout, NamesExactlyTheTensorsThatTransformersSaves) {
  for (const std::string name :
       {"llama", "llama_llama3_rope", "mistral", "qwen2", "qwen3", "phi3", "gpt2"}) {
    const auto config = read_decoder_config(golden(name));
    const auto file = format::TensorFolder::open(golden(name));

    const auto layout = tensor_layout(*find_family(config.model_type), config);

    EXPECT_EQ(layout.size(), file.tensors().size()) << name;
    for (const auto& slot : layout) {
      ASSERT_TRUE(file.has(slot.name)) << name << " " << slot.name;
      EXPECT_EQ(slot.shape, file.info(slot.name).shape) << slot.name;
    }
  }
}

TEST(TensorLayout, ListsSitesInOrderOfUse) {
  EXPECT_EQ(site_names(read_decoder_config(golden("llama"))),
            (std::vector<std::string>{
                "model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.k_proj",
                "model.layers.0.self_attn.v_proj", "model.layers.0.self_attn.o_proj",
                "model.layers.0.mlp.gate_proj", "model.layers.0.mlp.up_proj",
                "model.layers.0.mlp.down_proj", "model.layers.1.self_attn.q_proj",
                "model.layers.1.self_attn.k_proj", "model.layers.1.self_attn.v_proj",
                "model.layers.1.self_attn.o_proj", "model.layers.1.mlp.gate_proj",
                "model.layers.1.mlp.up_proj", "model.layers.1.mlp.down_proj"}));
  EXPECT_EQ(site_names(read_decoder_config(golden("gpt2"))),
            (std::vector<std::string>{"transformer.h.0.attn.c_attn", "transformer.h.0.attn.c_proj",
                                      "transformer.h.0.mlp.c_fc", "transformer.h.0.mlp.c_proj",
                                      "transformer.h.1.attn.c_attn", "transformer.h.1.attn.c_proj",
                                      "transformer.h.1.mlp.c_fc", "transformer.h.1.mlp.c_proj"}));
  EXPECT_EQ(site_names(read_decoder_config(golden("phi3"))),
            (std::vector<std::string>{
                "model.layers.0.self_attn.qkv_proj", "model.layers.0.self_attn.o_proj",
                "model.layers.0.mlp.gate_up_proj", "model.layers.0.mlp.down_proj",
                "model.layers.1.self_attn.qkv_proj", "model.layers.1.self_attn.o_proj",
                "model.layers.1.mlp.gate_up_proj", "model.layers.1.mlp.down_proj", "lm_head"}));
}

TEST(TensorLayout, DescribesASite) {
  const auto config = read_decoder_config(golden("llama_linear_rope"));
  const auto sites = linear_sites(*find_family("llama"), config);

  EXPECT_EQ(sites[8].index, 8);
  EXPECT_EQ(sites[8].block, 1);
  EXPECT_EQ(sites[8].role, "k_proj");
  EXPECT_EQ(sites[8].out_features, 2 * 12);
  EXPECT_EQ(sites[8].in_features, 32);
  EXPECT_EQ(sites.back().name, "lm_head");
  EXPECT_EQ(sites.back().role, "lm_head");
  EXPECT_EQ(sites.back().block, -1);
  EXPECT_EQ(sites.back().out_features, 96);
}

TEST(TensorLayout, KnowsTheNamesAndOrdersOfGguf) {
  const auto config = read_decoder_config(golden("llama_llama3_rope"));
  const auto llama = tensor_layout(*find_family("llama"), config);

  EXPECT_EQ(slot_named(llama, "model.embed_tokens.weight").gguf_name, "token_embd.weight");
  EXPECT_EQ(slot_named(llama, "model.norm.weight").gguf_name, "output_norm.weight");
  EXPECT_EQ(slot_named(llama, "lm_head.weight").gguf_name, "output.weight");
  EXPECT_EQ(slot_named(llama, "lm_head.weight").site, "lm_head");
  const auto& query = slot_named(llama, "model.layers.1.self_attn.q_proj.bias");
  EXPECT_EQ(query.gguf_name, "blk.1.attn_q.bias");
  EXPECT_EQ(query.permuted_heads, 4);
  EXPECT_EQ(query.site, "");
  const auto& key = slot_named(llama, "model.layers.1.self_attn.k_proj.weight");
  EXPECT_EQ(key.permuted_heads, 2);
  EXPECT_EQ(key.site, "model.layers.1.self_attn.k_proj");
  EXPECT_EQ(slot_named(llama, "model.layers.1.self_attn.v_proj.weight").permuted_heads, 0);
  EXPECT_EQ(slot_named(llama, "model.layers.0.post_attention_layernorm.weight").gguf_name,
            "blk.0.ffn_norm.weight");

  const auto qwen3 = tensor_layout(*find_family("qwen3"), read_decoder_config(golden("qwen3")));
  EXPECT_EQ(slot_named(qwen3, "model.layers.0.self_attn.q_proj.weight").permuted_heads, 0);
  EXPECT_EQ(slot_named(qwen3, "model.layers.0.self_attn.k_norm.weight").gguf_name,
            "blk.0.attn_k_norm.weight");

  const auto gpt2 = tensor_layout(*find_family("gpt2"), read_decoder_config(golden("gpt2")));
  EXPECT_EQ(slot_named(gpt2, "transformer.wpe.weight").gguf_name, "position_embd.weight");
  const auto& up = slot_named(gpt2, "transformer.h.1.mlp.c_fc.weight");
  EXPECT_EQ(up.gguf_name, "blk.1.ffn_up.weight");
  EXPECT_TRUE(up.is_conv1d);
  EXPECT_FALSE(slot_named(gpt2, "transformer.h.1.mlp.c_fc.bias").is_conv1d);
}

TEST(Family, IsFoundByModelTypeAndByGgufArchitecture) {
  EXPECT_EQ(find_family("mistral")->model_type, "mistral");
  EXPECT_EQ(find_family("mamba"), nullptr);
  EXPECT_EQ(find_gguf_family("llama")->model_type, "llama");
  EXPECT_EQ(find_gguf_family("qwen3")->model_type, "qwen3");
  EXPECT_EQ(find_gguf_family("bert"), nullptr);
  EXPECT_EQ(known_families(), "gpt2, llama, mistral, phi3, qwen2, qwen3");
}

TEST(Family, NamesEveryPartInBothWorlds) {
  for (const auto& family : families()) {
    for (const auto& part :
         {family.embedding, family.final_norm, family.head, family.attention_norm, family.mlp_norm})
      EXPECT_TRUE(!part.hugging_face.empty() && !part.gguf.empty()) << family.model_type;
    EXPECT_EQ(family.position == PositionKind::kLearned, !family.position_table.gguf.empty())
        << family.model_type;
    EXPECT_EQ(family.has_qk_norm, !family.query_norm.gguf.empty()) << family.model_type;
    EXPECT_TRUE(family.projection(Role::kAttentionOut) && family.projection(Role::kDown))
        << family.model_type;
  }
}

}  // namespace
}  // namespace qtk::model
