#include "model/weight_loading.hpp"

#include "golden.hpp"

#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace qtk::model {
namespace {

struct BadWeights {
  std::string model;
  std::function<void(Tensors&)> change;
  std::string message;
};

TEST(WeightLoading, RefusesTensorsThatDoNotFitTheConfig) {
  const std::vector<BadWeights> cases = {
      {"llama",
       [](Tensors& t) {
         t.erase("model.norm.weight");
         t.erase("model.layers.1.mlp.up_proj.weight");
       },
       " lacks 2 tensors: model.layers.1.mlp.up_proj.weight, model.norm.weight | fetch the model "
       "folder again"},
      {"llama_llama3_rope", [](Tensors& t) { t.erase("lm_head.weight"); },
       " lacks 1 tensor: lm_head.weight"},
      {"qwen2", [](Tensors& t) { t.erase("model.layers.0.self_attn.k_proj.bias"); },
       " lacks 1 tensor: model.layers.0.self_attn.k_proj.bias"},
      {"qwen3", [](Tensors& t) { t.erase("model.layers.0.self_attn.q_norm.weight"); },
       " lacks 1 tensor: model.layers.0.self_attn.q_norm.weight"},
      {"gpt2",
       [](Tensors& t) {
         t.clear();
         t["x"] = at::zeros(1);
       },
       " lacks 28 tensors: transformer.wte.weight, transformer.wpe.weight, "},
      {"llama",
       [](Tensors& t) {
         t["model.layers.0.mlp.gate_proj.weight"] = at::zeros({32, 48});
       },
       ": tensor 'model.layers.0.mlp.gate_proj.weight' has shape [32, 48], but config.json makes "
       "it [48, 32]"},
      {"llama", [](Tensors& t) { t["model.norm.weight"] = at::zeros({31}); },
       ": tensor 'model.norm.weight' has shape [31], but config.json makes it [32]"},
      {"gpt2",
       [](Tensors& t) {
         t["transformer.h.0.attn.c_attn.weight"] = at::zeros({96, 32});
       },
       ": tensor 'transformer.h.0.attn.c_attn.weight' has shape [96, 32], but config.json makes it "
       "[32, 96]"},
      {"llama", [](Tensors& t) { t["model.norm.weight"] = at::zeros({32}, at::kByte); },
       ": tensor 'model.norm.weight' has dtype Byte, expected a float of 16, 32 or 64 bits"},
      {"llama",
       [](Tensors& t) {
         t["lm_head.weight"] = at::zeros({96, 32});
       },
       ": tensor 'lm_head.weight' differs from the embedding, although tie_word_embeddings is "
       "true"},
  };
  for (const auto& [name, change, expected] : cases) {
    const ChangedModel model(name, nullptr, change);
    const auto message = message_of<DataError>([&] { model.load(); });
    EXPECT_NE(message.find(model.path().string() + expected), std::string::npos)
        << message << "\nlacks " << expected;
  }
}

TEST(WeightLoading, RefusesPackedWeightsUnlessTheCallerFillsTheSites) {
  const ChangedModel model("llama", [](nlohmann::json& config) {
    config["quantization_config"] = {{"quant_method", "gptq"}};
  });

  const auto message = message_of<DataError>([&] { model.load(); });

  EXPECT_NE(
      message.find("config.json: 'quantization_config' says that the weights are packed by gptq"),
      std::string::npos)
      << message;
  EXPECT_NO_THROW(model.load({.is_packed = [](std::string_view) { return false; }}));
}

TEST(WeightLoading, LeavesOutThePackedSites) {
  const std::string site = "model.layers.0.mlp.up_proj";
  const ChangedModel folder("llama", nullptr, [&](Tensors& t) { t.erase(site + ".weight"); });

  const auto model =
      folder.load({.is_packed = [&](std::string_view name) { return name == site; }});

  EXPECT_EQ(model->parameters().size(),
            format::TensorFolder::open(golden("llama")).tensors().size() - 1);
  const auto message = message_of<Error>([&] { model->logits(expected_of("llama").ids); });
  EXPECT_NE(message.find(site + " has no dense weight, only a quantized one"), std::string::npos)
      << message;
}

TEST(WeightLoading, AcceptsCheckpointsOfTheBaseModelAndExtraTensors) {
  for (const auto& [name, prefix] :
       {std::pair{"llama", "model."}, std::pair{"gpt2", "transformer."}}) {
    const ChangedModel bare(name, nullptr, [&](Tensors& tensors) {
      Tensors renamed = {{"h.0.attn.bias", at::ones({1, 1, 4, 4}, at::kByte)}};  // GPT-2's old mask
      for (const auto& [tensor, value] : tensors)
        renamed[tensor.substr(std::string(prefix).size())] = value;
      tensors = std::move(renamed);
    });
    const auto expected = expected_of(name);

    EXPECT_LT(relative_error(bare.load()->logits(expected.ids), expected.logits), 1e-5) << name;
  }
}

TEST(WeightLoading, AcceptsATiedHeadInEitherPlace) {
  const auto expected = expected_of("llama");
  const ChangedModel both("llama", nullptr,
                          [](Tensors& t) { t["lm_head.weight"] = t["model.embed_tokens.weight"]; });
  const ChangedModel head_only("llama", nullptr, [](Tensors& t) {
    t["lm_head.weight"] = t["model.embed_tokens.weight"];
    t.erase("model.embed_tokens.weight");
  });

  EXPECT_LT(relative_error(both.load()->logits(expected.ids), expected.logits), 1e-5);
  EXPECT_LT(relative_error(head_only.load()->logits(expected.ids), expected.logits), 1e-5);
}

}  // namespace
}  // namespace qtk::model
