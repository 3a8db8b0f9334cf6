// A random Llama of two layers with a byte-level tokenizer, and texts for it: what the tests of
// stages and of the program work on. Made in milliseconds, the same on every call.
#pragma once

#include "base/atomic_file.hpp"
#include "format/safetensors.hpp"
#include "text/byte_level.hpp"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace qtk::tiny {

using nlohmann::json;
using Tensors = std::map<std::string, at::Tensor>;

/// Temporary folders in memory where there is such a place: everything is written through to the
/// disk, which takes most of the time on a busy one.
inline const bool is_in_memory =
    ::access("/dev/shm", W_OK) == 0 && ::setenv("TMPDIR", "/dev/shm", /*overwrite=*/0) == 0;

inline constexpr int64_t kVocabulary = 300, kHidden = 64, kIntermediate = 96, kLayers = 2;

struct TokenizerSize {
  std::string alphabet;  // bytes that have a token; empty: all 256
  int64_t tokens = kVocabulary;
  bool adds_bos = false;
};

/// Words of the texts; merges spell them from the left, as far as the vocabulary reaches.
inline const std::vector<std::string>& words() {
  static const std::vector<std::string> all = {
      "the",    "and",   "of",    "to",     "sea",   "ship", "captain", "wind",
      "a",      "said",  "never", "letter", "house", "old",  "evening", "was",
      "walked", "quiet", "in",    "stone",  "river", "it",   "morning", "without"};
  return all;
}

/// Ids: 0 "<s>", 1 "</s>", then the bytes, then one token per merge.
inline json tokenizer_json(const TokenizerSize& size) {
  std::string alphabet = size.alphabet;
  if (alphabet.empty())
    for (int byte = 0; byte < 256; ++byte) alphabet += static_cast<char>(byte);
  json vocabulary = {{"<s>", 0}, {"</s>", 1}}, merges = json::array();
  const auto spelled = [](std::string_view bytes) {
    std::string text;
    text::append_byte_level(bytes, text);
    return text;
  };
  const auto add = [&](const std::string& token) {
    vocabulary.emplace(token, static_cast<int64_t>(vocabulary.size()));
  };
  for (const char byte : alphabet) add(spelled({&byte, 1}));
  for (const auto& word : words())
    for (size_t length = 1; length <= word.size(); ++length) {
      const std::string left = spelled(" " + word.substr(0, length - 1)),
                        right = spelled(word.substr(length - 1, 1));
      if (static_cast<int64_t>(vocabulary.size()) >= size.tokens ||
          vocabulary.contains(left + right))
        continue;
      merges.push_back({left, right});
      add(left + right);
    }
  json added = json::array();
  for (const char* token : {"<s>", "</s>"})
    added.push_back({{"id", vocabulary[token]},
                     {"content", token},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  const json bytes = {{"type", "ByteLevel"},
                      {"add_prefix_space", false},
                      {"trim_offsets", true},
                      {"use_regex", true}};
  const json sequence = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}},
             bos = {{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}};
  const json post = {
      {"type", "TemplateProcessing"},
      {"single", json::array({bos, sequence})},
      {"pair", json::array({bos, sequence, sequence})},
      {"special_tokens", {{"<s>", {{"id", "<s>"}, {"ids", {0}}, {"tokens", {"<s>"}}}}}}};
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added},
          {"normalizer", nullptr},
          {"pre_tokenizer", bytes},
          {"post_processor", size.adds_bos ? post : bytes},
          {"decoder", bytes},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"continuing_subword_prefix", nullptr},
            {"end_of_word_suffix", nullptr},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"ignore_merges", false},
            {"vocab", vocabulary},
            {"merges", merges}}}};
}

inline void write_tokenizer(const std::filesystem::path& folder, const TokenizerSize& size = {}) {
  write_file_atomically(folder / "tokenizer.json", tokenizer_json(size).dump());
  write_file_atomically(
      folder / "tokenizer_config.json",
      json{{"bos_token", "<s>"}, {"eos_token", "</s>"}, {"add_bos_token", size.adds_bos}}.dump());
}

inline json config_json() {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"vocab_size", kVocabulary},
          {"hidden_size", kHidden},
          {"intermediate_size", kIntermediate},
          {"num_hidden_layers", kLayers},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"max_position_embeddings", 512},
          {"hidden_act", "silu"},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", 10000.0},
          {"tie_word_embeddings", false},
          {"bos_token_id", 0},
          {"eos_token_id", 1},
          {"torch_dtype", "float32"}};
}

inline Tensors random_tensors(uint64_t seed = 1) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  const auto random = [&](std::vector<int64_t> shape, double scale) {
    return at::randn(shape, generator, at::kFloat) * scale;
  };
  Tensors tensors;
  tensors["model.embed_tokens.weight"] = random({kVocabulary, kHidden}, 0.5);
  tensors["lm_head.weight"] = random({kVocabulary, kHidden}, 0.15);
  tensors["model.norm.weight"] = 1 + random({kHidden}, 0.1);
  for (int64_t layer = 0; layer < kLayers; ++layer) {
    const std::string at = "model.layers." + std::to_string(layer) + ".";
    for (const char* norm : {"input_layernorm", "post_attention_layernorm"})
      tensors[at + norm + ".weight"] = 1 + random({kHidden}, 0.1);
    for (const char* name : {"q_proj", "o_proj"})
      tensors[at + "self_attn." + name + ".weight"] = random({kHidden, kHidden}, 0.15);
    for (const char* name : {"k_proj", "v_proj"})
      tensors[at + "self_attn." + name + ".weight"] = random({kHidden / 2, kHidden}, 0.15);
    for (const char* name : {"gate_proj", "up_proj"})
      tensors[at + "mlp." + name + ".weight"] = random({kIntermediate, kHidden}, 0.15);
    tensors[at + "mlp.down_proj.weight"] = random({kHidden, kIntermediate}, 0.15);
  }
  return tensors;
}

inline void write_weights(const std::filesystem::path& folder, const Tensors& tensors) {
  std::vector<format::TensorInfo> infos;
  for (const auto& [name, tensor] : tensors)
    infos.push_back({name, tensor.scalar_type(), tensor.sizes().vec()});
  format::SafetensorsWriter writer(folder / "model.safetensors", infos);
  for (const auto& [name, tensor] : tensors) writer.write(name, tensor);
  writer.commit();
}

/// A whole model folder, changed before it is written. Returns `folder`.
inline std::filesystem::path write_model(const std::filesystem::path& folder,
                                         const std::function<void(json&, Tensors&)>& change = {},
                                         const TokenizerSize& tokenizer = {}, uint64_t seed = 1) {
  json config = config_json();
  Tensors tensors = random_tensors(seed);
  if (change) change(config, tensors);
  write_file_atomically(folder / "config.json", config.dump(2));
  write_weights(folder, tensors);
  write_tokenizer(folder, tokenizer);
  return folder;
}

/// `count` words in sentences and paragraphs, chosen by a small generator of its own.
inline std::string random_text(int count, uint64_t seed = 7) {
  std::string text;
  for (int i = 0; i < count; ++i) {
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    text += words()[(seed >> 33) % words().size()];
    text += i % 90 == 89 ? ".\n\n" : i % 13 == 12 ? ".\n" : " ";
  }
  return text;
}

inline std::filesystem::path write_text(const std::filesystem::path& path, int count = 3000,
                                        uint64_t seed = 7) {
  write_file_atomically(path, random_text(count, seed));
  return path;
}

}  // namespace qtk::tiny
