// Exports read back with the format readers give what was deployed, in the type asked for.
#include "format/compressed_tensors.hpp"
#include "format/gguf.hpp"
#include "stage/deployed_tensors.hpp"
#include "stage/export_model.hpp"
#include "stage_fixtures.hpp"
#include "variants.hpp"

namespace qtk::stage {
namespace {

class ExportTest : public testing::Test {
 protected:
  ExportTest() { tiny::write_model(source_); }

  OpenModel open(const fs::path& folder) { return open_model(folder, {}, *context_); }
  /// The tiny model quantized with `options`.
  OpenModel packed(const std::string& options) {
    fs::remove_all(packed_);
    quantize_to(source_, packed_, affine_section(options), *context_);
    return open(packed_);
  }
  Exported write(const OpenModel& opened, ExportRequest request) {
    request.source = source_;
    if (request.target.empty())
      request.target = scratch_ / (request.format == "gguf" ? "model.gguf" : "exported");
    target_ = request.target;
    return export_model(*opened.decoder, request);
  }

  TestContext context_;
  TemporaryFolder scratch_;
  const fs::path source_ = scratch_ / "source", packed_ = scratch_ / "packed";
  fs::path target_;
};

TEST_F(ExportTest, DenseFoldersHoldTheDeployedWeightsInEveryType) {
  const auto opened = packed("{bits: 3, group_size: 32}");
  const DeployedTensors deployed(*opened.decoder);
  for (const auto& [name, dtype] : {std::pair{"f32", at::kFloat}, std::pair{"f16", at::kHalf},
                                    std::pair{"bf16", at::kBFloat16}}) {
    const auto exported = write(opened, {.format = "hf-dense", .dtype = name});

    const auto read = format::TensorFolder::open(target_);
    ASSERT_EQ(read.tensors().size(), deployed.tensors().size());
    for (const auto& info : deployed.tensors())
      EXPECT_TRUE(bits_equal(read.tensor(info.name), deployed.tensor(info.name).to(dtype)))
          << info.name;
    EXPECT_EQ(exported.format, std::string("hf-dense ") + name);
    EXPECT_EQ(exported.check, "re-read, 21 tensors equal");
    EXPECT_EQ(exported.bytes, static_cast<int64_t>(fs::file_size(target_ / "model.safetensors")));
    EXPECT_EQ(bytes_in(target_ / "tokenizer.json"), bytes_in(source_ / "tokenizer.json"));
    const auto config = tiny::json::parse(bytes_in(target_ / "config.json"));
    EXPECT_FALSE(config.contains("quantization_config"));
    EXPECT_EQ(config["torch_dtype"], dtype == at::kFloat  ? "float32"
                                     : dtype == at::kHalf ? "float16"
                                                          : "bfloat16");
  }
}

TEST_F(ExportTest, DenseF32PredictsExactlyWhatThePackedModelPredicts) {
  const auto opened = packed("{bits: 4, group_size: 32}");
  write(opened, {.format = "hf-dense", .dtype = "f32"});

  const auto dense = model::Decoder::load(target_);

  const auto ids = sample_ids(tiny::kVocabulary);
  const auto expected = dense->logits(ids);
  EXPECT_LT((opened.decoder->logits(ids) - expected).abs().max().item<double>(),
            1e-5 * expected.abs().max().item<double>());
}

TEST_F(ExportTest, GgufHoldsTheBlocksOfEveryMatrix) {
  const auto opened = packed("{bits: 4, group_size: 32}");
  for (const char* type : {"F32", "F16", "Q8_0", "Q4_0", "Q4_1"}) {
    SCOPED_TRACE(type);
    const auto exported = write(opened, {.format = "gguf", .type = type});

    const auto file = format::GgufFile::open(target_);
    EXPECT_EQ(file.tensors().size(), 21u);
    EXPECT_EQ(exported.format, std::string("gguf ") + type);
    EXPECT_EQ(exported.check, "re-read, 21 tensors equal");
    EXPECT_EQ(exported.bytes, static_cast<int64_t>(fs::file_size(target_)));
    const DeployedTensors deployed(*opened.decoder);
    const auto& wanted = format::ggml_type(type);
    for (const auto& [gguf, hugging_face] :
         {std::pair{"blk.1.ffn_down.weight", "model.layers.1.mlp.down_proj.weight"},
          std::pair{"blk.0.attn_v.weight", "model.layers.0.self_attn.v_proj.weight"},
          std::pair{"token_embd.weight", "model.embed_tokens.weight"},
          std::pair{"output.weight", "lm_head.weight"}}) {
      const auto weight = deployed.tensor(hugging_face).to(at::kFloat);
      EXPECT_EQ(file.info(gguf).type, &wanted);
      EXPECT_TRUE(at::equal(file.tensor(gguf).flatten(),
                            format::quantize_blocks(wanted, weight, gguf).flatten()))
          << gguf;
      EXPECT_LT((file.dequantize(gguf) - weight).norm().item<double>(),
                0.13 * weight.norm().item<double>());
    }
    EXPECT_TRUE(
        at::equal(file.dequantize("output_norm.weight"), deployed.tensor("model.norm.weight")));
    EXPECT_EQ(file.metadata().text("general.architecture"), "llama");
    EXPECT_EQ(file.metadata().text("general.name"), "source");
  }
}

TEST_F(ExportTest, GroupsOf32AtFourBitsSurviveQ4_1WithoutNewError) {
  // Q4_1 keeps scale and minimum as f16: an asymmetric grid of 4 bits with such scales nearly fits.
  const auto opened = packed("{bits: 4, group_size: 32, scale_dtype: f16}");
  write(opened, {.format = "gguf", .type = "Q4_1"});

  const auto file = format::GgufFile::open(target_);

  const DeployedTensors deployed(*opened.decoder);
  const auto weight = deployed.tensor("model.layers.0.mlp.up_proj.weight");
  const auto error = (file.dequantize("blk.0.ffn_up.weight") - weight).norm() / weight.norm();
  EXPECT_LT(error.item<double>(), 2e-3);
}

/// Makes the tiny model's rows whole blocks of 256; `weight` is given every linear weight.
void widen(tiny::json& config, tiny::Tensors& tensors,
           const std::function<at::Tensor(const at::Tensor&)>& weight) {
  config["intermediate_size"] = 256;
  config["hidden_size"] = 256;
  for (auto& [name, tensor] : tensors) {
    const bool is_vector = tensor.dim() == 1, is_kv = name.find("k_proj") != std::string::npos ||
                                                      name.find("v_proj") != std::string::npos;
    const bool is_linear = name.find("_proj") != std::string::npos;
    const int64_t rows = !is_linear ? tiny::kVocabulary : is_kv ? 128 : 256;
    tensor = is_vector ? at::ones({256}) : at::randn({rows, 256}) * 0.2;
    if (is_linear) tensor = weight(tensor);
  }
}

TEST_F(ExportTest, TernaryWeightsSurviveTernaryTypesOfGguf) {
  tiny::write_model(source_, [](auto& config, auto& tensors) {
    widen(config, tensors, [](const at::Tensor& w) {
      return (w * 5).round().clamp(-1, 1) * w.abs().mean(1, /*keepdim=*/true);
    });
  });
  const auto opened = open(source_);
  const DeployedTensors deployed(*opened.decoder);
  for (const auto& [type, number] : {std::pair{"TQ1_0", 36}, {"TQ2_0", 37}, {"Q2_0", 41}}) {
    SCOPED_TRACE(type);
    const auto exported = write(opened, {.format = "gguf", .type = type});

    const auto file = format::GgufFile::open(target_);
    expect_contains(exported.check, {"re-read, 21 tensors equal; 14 weights with equal codes",
                                     "scales within", "(f16)"});
    EXPECT_EQ(file.metadata().integer("general.file_type"), number);
    for (const auto& [gguf, hugging_face] :
         {std::pair{"blk.1.ffn_down.weight", "model.layers.1.mlp.down_proj.weight"},
          std::pair{"blk.0.attn_v.weight", "model.layers.0.self_attn.v_proj.weight"}}) {
      const auto weight = deployed.tensor(hugging_face);
      EXPECT_EQ(file.info(gguf).type, &format::ggml_type(type));
      EXPECT_TRUE(at::allclose(file.dequantize(gguf), weight, /*rtol=*/std::exp2(-11), 0)) << gguf;
    }
    for (const char* rest : {"token_embd.weight", "output.weight"})
      EXPECT_EQ(file.info(rest).type, &format::ggml_type("F16"));
    EXPECT_EQ(file.info("output_norm.weight").type, &format::ggml_type("F32"));
  }
}

TEST_F(ExportTest, FourLevelsOfAQuantizerSurviveQ2_0) {
  tiny::write_model(source_, [](auto& config, auto& tensors) {
    widen(config, tensors, [](const at::Tensor& w) { return w; });
  });
  const auto opened = packed("{bits: 2, group_size: 64, symmetric: true, scale_dtype: f16}");

  const auto exported = write(opened, {.format = "gguf", .type = "Q2_0"});

  const auto file = format::GgufFile::open(target_);
  expect_contains(exported.check, {"14 weights with equal codes, scales exact"});
  EXPECT_TRUE(
      at::equal(file.dequantize("blk.0.ffn_up.weight"),
                DeployedTensors(*opened.decoder).tensor("model.layers.0.mlp.up_proj.weight")));
}

TEST_F(ExportTest, WeightsThatTernaryTypesWouldChangeAreRefusedBeforeAnythingIsWritten) {
  tiny::write_model(source_, [](auto& config, auto& tensors) {
    widen(config, tensors, [](const at::Tensor& w) { return w; });
  });
  const auto dense = open(source_);
  expect_contains(
      sentence_of<ConfigError>([&] { write(dense, {.format = "gguf", .type = "TQ2_0"}); }),
      {"model.layers.0.self_attn.q_proj in row 0, columns 0 to 255", "export a ternary variant"});
  EXPECT_FALSE(fs::exists(target_));

  const auto grouped = packed("{bits: 2, group_size: 64, symmetric: true}");
  expect_contains(
      sentence_of<ConfigError>([&] { write(grouped, {.format = "gguf", .type = "TQ2_0"}); }),
      {"one scale for 256 weights", "has one for every 64", "use type: Q2_0"});
  EXPECT_FALSE(fs::exists(target_));
}

TEST_F(ExportTest, RowsThatAreNoWholeBlocksFallBackToF16) {
  tiny::write_model(source_, [](auto& config, auto& tensors) {
    config["intermediate_size"] = 80;
    for (auto& [name, tensor] : tensors) {
      if (name.find("down_proj") != std::string::npos) tensor = tensor.slice(1, 0, 80).contiguous();
      if (name.find("gate_proj") != std::string::npos || name.find("up_proj") != std::string::npos)
        tensor = tensor.slice(0, 0, 80).contiguous();
    }
  });
  write(open(source_), {.format = "gguf", .type = "Q4_0"});

  const auto file = format::GgufFile::open(target_);

  EXPECT_EQ(file.info("blk.0.ffn_down.weight").type, &format::ggml_type("F16"));
  EXPECT_EQ(file.info("blk.0.ffn_up.weight").type, &format::ggml_type("Q4_0"));
}

TEST_F(ExportTest, CompressedTensorsUnpackToTheDeployedWeights) {
  for (const char* options :
       {"{bits: 4, group_size: 32}", "{bits: 8, group_size: 32}",
        "{bits: 4, group_size: 32, symmetric: true}", "{bits: 8, group_size: -1, symmetric: true}",
        "{bits: 4, group_size: -1}"}) {
    SCOPED_TRACE(options);
    const auto opened = packed(options);
    const auto exported = write(opened, {.format = "compressed-tensors", .dtype = "f16"});

    const auto read = format::TensorFolder::open(target_);
    for (const auto& site : opened.decoder->sites()) {
      if (site.name == "lm_head") continue;
      format::TensorMap parts;
      for (const char* part :
           {"weight_packed", "weight_scale", "weight_shape", "weight_zero_point"})
        if (read.has(site.name + "." + part)) parts[part] = read.tensor(site.name + "." + part);
      const auto scheme = format::compressed_scheme(*opened.decoder->attached(site.index)->grid());
      const UniformGrid grid = format::unpack_quantized(scheme, parts, site.name);
      const auto per_group = site.in_features / grid.scales.size(1);
      const auto weight = (grid.codes - grid.zeros.repeat_interleave(per_group, 1)).to(at::kFloat) *
                          grid.scales.repeat_interleave(per_group, 1);
      EXPECT_TRUE(at::equal(weight, opened.decoder->attached(site.index)->weight())) << site.name;
    }
    EXPECT_TRUE(bits_equal(read.tensor("lm_head.weight"),
                           tiny::random_tensors().at("lm_head.weight").to(at::kHalf)));
    EXPECT_EQ(exported.check, "re-read, 14 weights equal");
    const auto config = tiny::json::parse(bytes_in(target_ / "config.json"));
    EXPECT_EQ(config["quantization_config"]["quant_method"], "compressed-tensors");
    EXPECT_EQ(config["quantization_config"]["ignore"], tiny::json::array({"lm_head"}));
  }
}

TEST_F(ExportTest, ChecksCanBeLeftOut) {
  const auto opened = open(source_);
  for (const char* format : {"hf-dense", "gguf"})
    EXPECT_EQ(write(opened, {.format = format, .is_checked = false}).check, "not checked");
}

TEST_F(ExportTest, WhatDoesNotGoTogetherIsRefused) {
  struct Case {
    std::string options;  // of affine; empty: the dense model
    ExportRequest request;
    std::vector<std::string> fragments;
  };
  const std::vector<Case> cases = {
      {"", {.format = "ggfu"}, {"unknown export format 'ggfu'; did you mean 'gguf'?", "hf-dense"}},
      {"", {.format = "hf-dense", .type = "Q4_0"}, {"hf-dense has no type 'Q4_0'", "dtype:"}},
      {"", {.format = "hf-dense", .dtype = "f64"}, {"unknown dtype 'f64'", "f32, f16, bf16"}},
      {"", {.format = "gguf", .dtype = "f16"}, {"gguf has no dtype 'f16'", "type: F16"}},
      {"", {.format = "gguf", .type = "Q6_K"}, {"Q6_K cannot be written", "Q4_0"}},
      {"", {.format = "compressed-tensors"}, {"needs a quantized model", "dense"}},
      {"{bits: 3, group_size: 32}",
       {.format = "compressed-tensors"},
       {"4 and 8 bits", "model.layers.0.self_attn.q_proj has 3", "export.variants"}},
      {"{bits: 4, group_size: 32}",
       {.format = "compressed-tensors", .type = "W4A16"},
       {"no type 'W4A16'"}},
      {"{bits: 4, group_size: 32}",
       {.format = "compressed-tensors", .dtype = "int8"},
       {"unknown dtype 'int8'"}}};
  for (const auto& [options, request, fragments] : cases) {
    const auto opened = options.empty() ? open(source_) : packed(options);
    expect_contains(sentence_of<ConfigError>([&] { write(opened, request); }), fragments);
    EXPECT_FALSE(fs::exists(target_ / "config.json"));
  }
}

TEST_F(ExportTest, WeightsBeyondTheRangeOfF16AreRefusedAndNothingIsLeft) {
  tiny::write_model(source_, [](auto&, auto& tensors) {
    tensors["model.layers.1.mlp.up_proj.weight"][2][3] = 70000;
  });
  const auto opened = open(source_);

  expect_contains(
      sentence_of<ConfigError>([&] { write(opened, {.format = "hf-dense", .dtype = "f16"}); }),
      {"model.layers.1.mlp.up_proj.weight", "beyond the range of f16", "bf16"});
  EXPECT_TRUE(contents_of(target_).empty());
}

TEST_F(ExportTest, Conv1dLayersAreRefusedByCompressedTensors) {
  const fs::path folder = copy_golden("gpt2", scratch_ / "gpt2");
  quantize_to(folder, packed_, affine_section("{bits: 4, group_size: -1}"), *context_);

  expect_contains(
      sentence_of<ConfigError>([&] { write(open(packed_), {.format = "compressed-tensors"}); }),
      {"Conv1D", "gpt2", "hf-dense or gguf"});
}

TEST_F(ExportTest, AGgufFileIsNamedAfterItsFolderHoweverThatIsWritten) {
  const auto opened = open(source_);

  export_model(
      *opened.decoder,
      {.format = "gguf", .type = "F32", .source = source_ / "", .target = scratch_ / "named.gguf"});

  EXPECT_EQ(format::GgufFile::open(scratch_ / "named.gguf").metadata().text("general.name"),
            "source");
}

}  // namespace
}  // namespace qtk::stage
