#include "model/decoder_config.hpp"

#include "golden.hpp"

#include <qtk/runtime/error.hpp>

#include <gtest/gtest.h>

namespace qtk::model {
namespace {

DecoderConfig read(const nlohmann::json& config) {
  const TemporaryFolder folder;
  write_file_atomically(folder.path() / "config.json", config.dump());
  return read_decoder_config(folder.path());
}

TEST(DecoderConfig, FillsInTheDefaultsOfTransformers) {
  const auto llama = read({{"model_type", "llama"}});
  EXPECT_EQ(llama.vocab_size, 32000);
  EXPECT_EQ(llama.hidden_size, 4096);
  EXPECT_EQ(llama.intermediate_size, 11008);
  EXPECT_EQ(llama.num_kv_heads, 32);
  EXPECT_EQ(llama.head_dim, 128);
  EXPECT_EQ(llama.max_positions, 2048);
  EXPECT_EQ(llama.norm_eps, 1e-6);
  EXPECT_EQ(llama.rope_theta, 10000);
  EXPECT_EQ(llama.sliding_window, std::nullopt);
  EXPECT_FALSE(llama.is_tied || llama.has_qkv_bias || llama.has_out_bias || llama.has_mlp_bias);
  EXPECT_EQ(llama.dtype, std::nullopt);

  const auto mistral = read({{"model_type", "mistral"}});
  EXPECT_EQ(mistral.num_kv_heads, 8);
  EXPECT_EQ(mistral.sliding_window, 4096);
  EXPECT_EQ(mistral.window_of(31), 4096);

  const auto qwen2 = read({{"model_type", "qwen2"}});
  EXPECT_TRUE(qwen2.has_qkv_bias);
  EXPECT_FALSE(qwen2.has_out_bias || qwen2.has_mlp_bias);
  EXPECT_EQ(qwen2.sliding_window, std::nullopt);

  const auto qwen3 = read({{"model_type", "qwen3"}});
  EXPECT_EQ(qwen3.head_dim, 128);
  EXPECT_FALSE(qwen3.has_qkv_bias);

  const auto phi3 = read({{"model_type", "phi3"}});
  EXPECT_EQ(phi3.norm_eps, 1e-5);
  EXPECT_EQ(phi3.head_dim, 96);
  EXPECT_EQ(phi3.sliding_window, std::nullopt);

  const auto gpt2 = read({{"model_type", "gpt2"}});
  EXPECT_EQ(gpt2.intermediate_size, 4 * 768);
  EXPECT_EQ(gpt2.norm_eps, 1e-5);
  EXPECT_TRUE(gpt2.is_tied && gpt2.has_qkv_bias && gpt2.has_out_bias && gpt2.has_mlp_bias);
}

TEST(DecoderConfig, TellsANullFromAnAbsentField) {
  EXPECT_EQ(read({{"model_type", "mistral"}, {"num_key_value_heads", nullptr}}).num_kv_heads, 32);
  EXPECT_EQ(read({{"model_type", "mistral"}, {"sliding_window", nullptr}}).sliding_window,
            std::nullopt);
  EXPECT_EQ(
      read({{"model_type", "llama"}, {"rope_scaling", nullptr}, {"head_dim", nullptr}}).head_dim,
      128);
}

TEST(DecoderConfig, ReadsWindowsByLayer) {
  const nlohmann::json base = {{"model_type", "qwen2"},
                               {"num_hidden_layers", 3},
                               {"use_sliding_window", true},
                               {"sliding_window", 8}};
  auto with_count = base, with_types = base, with_neither = base, switched_off = base;
  with_count["max_window_layers"] = 1;
  with_types["layer_types"] = {"sliding_attention", "full_attention", "full_attention"};
  switched_off["use_sliding_window"] = false;
  const auto windows = [](const nlohmann::json& json) {
    const auto config = read(json);
    std::string text;
    for (int64_t layer = 0; layer < 3; ++layer) text += config.window_of(layer) ? "s" : "f";
    return text;
  };

  EXPECT_EQ(windows(with_count), "fss");
  EXPECT_EQ(windows(with_types), "sff");
  EXPECT_EQ(windows(with_neither), "fff");  // from layer 28 on
  EXPECT_EQ(windows(switched_off), "fff");
}

TEST(DecoderConfig, ReadsTheDtypeInBothSpellings) {
  EXPECT_EQ(read({{"model_type", "llama"}, {"dtype", "bfloat16"}}).dtype, at::kBFloat16);
  EXPECT_EQ(read({{"model_type", "llama"}, {"torch_dtype", "float16"}}).dtype, at::kHalf);
  EXPECT_EQ(read({{"model_type", "llama"}, {"torch_dtype", "torch.float32"}}).dtype, at::kFloat);
  EXPECT_EQ(read({{"model_type", "llama"}, {"dtype", "auto"}}).dtype, std::nullopt);
}

TEST(DecoderConfig, AcceptsTheCommonSpellingForGpt2) {
  const auto gpt2 = read({{"model_type", "gpt2"}, {"hidden_size", 64}, {"num_attention_heads", 4}});

  EXPECT_EQ(gpt2.hidden_size, 64);
  EXPECT_EQ(gpt2.num_heads, 4);
}

TEST(DecoderConfig, RemembersThatWeightsArePacked) {
  EXPECT_EQ(read({{"model_type", "llama"}, {"quantization_config", {{"quant_method", "gptq"}}}})
                .quantization_method,
            "gptq");
}

struct BadField {
  nlohmann::json config;
  std::string message;
};

TEST(DecoderConfig, RefusesWhatItCannotCompute) {
  const std::vector<BadField> cases = {
      {{{"vocab_size", 8}},
       "'model_type' is missing, expected one of gpt2, llama, mistral, phi3, qwen2, qwen3"},
      {{{"model_type", "mamba"}}, "'model_type' is \"mamba\", expected one of gpt2, llama"},
      {{{"model_type", 3}}, "'model_type' is 3, expected a text"},
      {{{"model_type", "llama"}, {"hidden_size", "64"}},
       "'hidden_size' is \"64\", expected an integer in [1, 16777216]"},
      {{{"model_type", "llama"}, {"hidden_size", 64.5}},
       "'hidden_size' is 64.5, expected an integer"},
      {{{"model_type", "llama"}, {"hidden_size", 0}},
       "'hidden_size' is 0, expected an integer in [1,"},
      {{{"model_type", "llama"}, {"hidden_size", -4}}, "'hidden_size' is -4, expected"},
      {{{"model_type", "llama"}, {"vocab_size", uint64_t{18446744073709551615u}}},
       "'vocab_size' is 18446744073709551615, expected an integer"},
      {{{"model_type", "llama"}, {"num_hidden_layers", 10001}},
       "'num_hidden_layers' is 10001, expected"},
      {{{"model_type", "llama"}, {"hidden_size", 100}, {"num_attention_heads", 3}},
       "'hidden_size' is 100, expected a multiple of num_attention_heads 3 where head_dim is not "
       "given"},
      {{{"model_type", "llama"}, {"num_key_value_heads", 5}},
       "'num_key_value_heads' is 5, expected a divisor of num_attention_heads 32"},
      {{{"model_type", "llama"}, {"rms_norm_eps", 0}},
       "'rms_norm_eps' is 0, expected a number above 0"},
      {{{"model_type", "llama"}, {"rms_norm_eps", "tiny"}},
       "'rms_norm_eps' is \"tiny\", expected a number above 0"},
      {{{"model_type", "llama"}, {"hidden_act", "gelu"}},
       "'hidden_act' is \"gelu\", expected silu or swish for model_type llama"},
      {{{"model_type", "gpt2"}, {"activation_function", "relu"}},
       "'activation_function' is \"relu\", expected gelu_new or gelu_pytorch_tanh for model_type "
       "gpt2"},
      {{{"model_type", "mistral"}, {"attention_bias", true}},
       "'attention_bias' is true, expected false for model_type mistral"},
      {{{"model_type", "qwen2"}, {"attention_bias", false}},
       "'attention_bias' is false, expected true for model_type qwen2"},
      {{{"model_type", "phi3"}, {"mlp_bias", true}},
       "'mlp_bias' is true, expected false for model_type phi3"},
      {{{"model_type", "llama"}, {"mlp_bias", 1}}, "'mlp_bias' is 1, expected true or false"},
      {{{"model_type", "llama"}, {"tie_word_embeddings", "yes"}},
       "'tie_word_embeddings' is \"yes\", expected true or false"},
      {{{"model_type", "gpt2"}, {"scale_attn_weights", false}},
       "'scale_attn_weights' is false, expected true"},
      {{{"model_type", "gpt2"}, {"scale_attn_by_inverse_layer_idx", true}},
       "'scale_attn_by_inverse_layer_idx' is true, expected false"},
      {{{"model_type", "gpt2"}, {"add_cross_attention", true}},
       "'add_cross_attention' is true, expected false"},
      {{{"model_type", "gpt2"}, {"n_embd", 64}, {"hidden_size", 32}},
       "'n_embd' is 64, expected the value of 'hidden_size', 32"},
      {{{"model_type", "qwen2"}, {"use_mrope", true}}, "'use_mrope' is true, expected false"},
      {{{"model_type", "llama"}, {"dtype", "float8"}},
       "'dtype' is \"float8\", expected float32, float64, float16"},
      {{{"model_type", "llama"}, {"quantization_config", "gptq"}},
       "'quantization_config' is \"gptq\", expected an object"},
  };
  for (const auto& [config, expected] : cases) {
    const auto message = message_of<DataError>([&] { read(config); });
    EXPECT_NE(message.find("config.json: " + expected), std::string::npos)
        << message << "\nlacks " << expected;
  }
}

TEST(DecoderConfig, RefusesRotaryAndWindowSettingsItDoesNotKnow) {
  const nlohmann::json llama = {{"model_type", "llama"}, {"num_hidden_layers", 2}};
  const auto with = [](nlohmann::json base, const nlohmann::json& more) {
    base.update(more);
    return base;
  };
  const std::vector<BadField> cases = {
      {with(llama, {{"rope_scaling", {{"rope_type", "yarn"}, {"factor", 4.0}}}}),
       "'rope_scaling.rope_type' is \"yarn\", expected default, linear or llama3 | qtk knows the "
       "rope types"},
      {with(llama, {{"rope_scaling", {{"type", "dynamic"}, {"factor", 4.0}}}}),
       "'rope_scaling.type' is \"dynamic\", expected default, linear or llama3"},
      {with(llama, {{"rope_scaling", "linear"}}),
       "'rope_scaling' is \"linear\", expected an object"},
      {with(llama, {{"rope_scaling", {{"type", "linear"}}}}),
       "'rope_scaling.factor' is missing, expected a number above 0"},
      {with(llama, {{"rope_scaling", {{"type", "linear"}, {"factor", 2}}},
                    {"rope_parameters", {{"rope_type", "default"}}}}),
       "'rope_scaling' is {\"factor\":2,\"type\":\"linear\"}, expected no such field beside "
       "'rope_parameters'"},
      {with(llama, {{"rope_parameters", {{"rope_type", "default"}, {"mrope_section", {1, 2}}}}}),
       "'rope_parameters.mrope_section' is [1,2], expected no such field for rope type default"},
      {with(llama, {{"rope_parameters", {{"full_attention", {{"rope_type", "default"}}}}}}),
       "'rope_parameters.full_attention' is {\"rope_type\":\"default\"}, expected no such field"},
      {with(llama, {{"rope_parameters",
                     {{"rope_type", "llama3"},
                      {"factor", 8},
                      {"low_freq_factor", 4},
                      {"high_freq_factor", 4}}}}),
       "'rope_parameters.high_freq_factor' is 4, expected more than low_freq_factor"},
      {with(llama, {{"rope_theta", -1}}), "'rope_theta' is -1, expected a number above 0"},
      {with(llama, {{"partial_rotary_factor", 0.5}}),
       "'partial_rotary_factor' is 0.5, expected 1 for model_type llama"},
      {{{"model_type", "phi3"}, {"partial_rotary_factor", 1.5}},
       "'partial_rotary_factor' is 1.5, expected at most 1"},
      {{{"model_type", "phi3"}, {"rope_parameters", {{"partial_rotary_factor", 0.01}}}},
       "'rope_parameters.partial_rotary_factor' is 0.01, expected a share of head_dim 96 that "
       "makes an even number"},
      {{{"model_type", "phi3"}, {"rope_scaling", {{"type", "longrope"}}}},
       "'rope_scaling.type' is \"longrope\", expected"},
      {{{"model_type", "phi3"}, {"rope_scaling", {{"type", "linear"}, {"factor", 2}}}},
       "'rope_scaling.type' is \"linear\", expected default for model_type phi3"},
      {with(llama, {{"head_dim", 7}}), "expected a share of head_dim 7 that makes an even number"},
      {with(llama, {{"layer_types", {"full_attention", "sliding_attention"}}}),
       "expected full_attention in every layer of model_type llama"},
      {with(llama, {{"layer_types", {"full_attention"}}}),
       "'layer_types' is [\"full_attention\"], expected one entry for "
       "each of 2 layers"},
      {with(llama, {{"layer_types", {"full_attention", "chunked_attention"}}}),
       "not chunked_attention"},
      {with(llama, {{"layer_types", "full"}}),
       "'layer_types' is \"full\", expected a list of texts"},
      {{{"model_type", "mistral"}, {"sliding_window", 0}},
       "'sliding_window' is 0, expected an integer in [1,"},
      {{{"model_type", "mistral"}, {"num_hidden_layers", 1}, {"layer_types", {"full_attention"}}},
       "expected sliding_attention in every layer of model_type mistral"},
      {{{"model_type", "qwen2"}, {"num_hidden_layers", 1}, {"layer_types", {"sliding_attention"}}},
       "expected no sliding_attention without use_sliding_window and sliding_window"},
  };
  for (const auto& [config, expected] : cases) {
    const auto message = message_of<DataError>([&] { read(config); });
    EXPECT_NE(message.find(expected), std::string::npos) << message << "\nlacks " << expected;
  }
}

TEST(DecoderConfig, RefusesFilesThatAreNotJsonObjects) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"{\"model_type\": ", "config.json is not JSON"},
      {"[1, 2]", "config.json holds [1,2], expected a JSON object"},
      {"\"llama\"", "config.json holds \"llama\", expected a JSON object"},
  };
  for (const auto& [text, expected] : cases) {
    const TemporaryFolder folder;
    write_file_atomically(folder.path() / "config.json", text);
    const auto message = message_of<DataError>([&] { read_decoder_config(folder.path()); });
    EXPECT_NE(message.find(expected), std::string::npos) << message;
  }
  const TemporaryFolder empty;
  const auto message = message_of<DataError>([&] { read_decoder_config(empty.path()); });
  EXPECT_NE(message.find("config.json"), std::string::npos) << message;
}

}  // namespace
}  // namespace qtk::model
