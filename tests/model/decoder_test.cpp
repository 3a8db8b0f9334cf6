#include "model/decoder.hpp"

#include "golden.hpp"

#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <fstream>

namespace qtk::model {
namespace {

const std::vector<std::string> kModels = {"llama",
                                          "llama_llama3_rope",
                                          "llama_linear_rope",
                                          "llama_bf16",
                                          "mistral",
                                          "qwen2",
                                          "qwen3",
                                          "phi3",
                                          "gpt2"};

class GoldenModel : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Families, GoldenModel, ::testing::ValuesIn(kModels),
                         [](const auto& info) { return info.param; });

TEST_P(GoldenModel, GivesTheLogitsOfTransformers) {
  const auto expected = expected_of(GetParam());
  const auto model = Decoder::load(golden(GetParam()));

  const auto logits = model->logits(expected.ids);

  EXPECT_EQ(logits.scalar_type(), at::kFloat);
  EXPECT_LT(relative_error(logits, expected.logits), 1e-5);
}

// In fp64 nothing is fused: this is the differentiable form of every part.
TEST_P(GoldenModel, GivesTheLogitsOfTransformersInItsDifferentiableForm) {
  const auto expected = expected_of(GetParam());
  const auto model = Decoder::load(golden(GetParam()), {.dtype = at::kDouble});

  for (const auto form : {AttentionForm::kFused, AttentionForm::kTwiceDifferentiable}) {
    model->set_attention(form);
    const auto logits = model->logits(expected.ids);

    EXPECT_EQ(logits.scalar_type(), at::kDouble);
    EXPECT_LT(relative_error(logits, expected.logits), 1e-5);
  }
}

TEST_P(GoldenModel, ItsPartsCalledOneByOneMakeItsLogits) {
  const auto expected = expected_of(GetParam());
  const auto model = Decoder::load(golden(GetParam()));

  auto x = model->embed(expected.ids);
  for (int64_t layer = 0; layer < model->config().num_layers; ++layer) x = model->block(layer, x);
  const auto logits = model->head(model->final_norm(x));

  EXPECT_TRUE(logits.equal(model->logits(expected.ids)));
}

TEST_P(GoldenModel, ABlockLeavesItsInputAsItIs) {
  const auto model = Decoder::load(golden(GetParam()));
  const auto x = model->embed(expected_of(GetParam()).ids);
  const auto before = x.clone();

  model->block(0, x);

  EXPECT_TRUE(x.equal(before));
}

TEST_P(GoldenModel, LaterTokensDoNotChangeEarlierLogits) {
  const auto ids = expected_of(GetParam()).ids;
  const auto model = Decoder::load(golden(GetParam()));

  const auto part = model->logits(ids.narrow(1, 0, 7));

  EXPECT_LT(relative_error(model->logits(ids).narrow(1, 0, 7), part), 1e-5);
}

TEST(Decoder, WorksUnderInferenceModeAndUnderAutogradAfterwards) {
  const auto expected = expected_of("llama");
  const auto model = [] {
    const c10::InferenceMode inference;
    auto loaded = Decoder::load(golden("llama"));
    loaded->logits(expected_of("llama").ids);
    return loaded;
  }();

  for (auto& parameter : model->parameters()) parameter.tensor.requires_grad_();
  const auto logits = model->logits(expected.ids);
  logits.sum().backward();

  EXPECT_LT(relative_error(logits.detach(), expected.logits), 1e-5);
  EXPECT_TRUE(model->dense_weight(0).grad().defined());
}

/// A setting of config.json, another value of it, and the model that has it.
struct Perturbation {
  std::string model, field;
  nlohmann::json value;
};

TEST(Decoder, EverySettingMatters) {
  const std::vector<Perturbation> cases = {
      {"llama", "/rms_norm_eps", 1e-2},
      {"llama", "/rope_parameters/rope_theta", 5000.0},
      {"llama_linear_rope", "/rope_parameters/factor", 3.0},
      {"llama_llama3_rope", "/rope_parameters/factor", 4.0},
      {"llama_llama3_rope", "/rope_parameters/low_freq_factor", 0.5},
      {"llama_llama3_rope", "/rope_parameters/high_freq_factor", 8.0},
      {"llama_llama3_rope", "/rope_parameters/original_max_position_embeddings", 32},
      {"mistral", "/sliding_window", 3},
      {"mistral", "/sliding_window", nullptr},
      {"qwen2", "/sliding_window", 4},
      {"qwen2", "/layer_types/0", "sliding_attention"},
      {"phi3", "/rope_parameters/partial_rotary_factor", 1.0},
      {"phi3", "/sliding_window", 6},
      {"gpt2", "/layer_norm_epsilon", 1e-2},
      {"gpt2", "/n_head", 8},
  };
  for (const auto& [name, field, value] : cases) {
    const ChangedModel changed(
        name, [&](nlohmann::json& config) { config[nlohmann::json::json_pointer(field)] = value; });
    const auto expected = expected_of(name);

    EXPECT_GT(relative_error(changed.load()->logits(expected.ids), expected.logits), 1e-4)
        << name << field;
  }
}

TEST(Decoder, TheSpellingBeforeTransformers5MeansTheSame) {
  const auto respell = [](nlohmann::json& config) {
    const auto rope = config["rope_parameters"];
    config.erase("rope_parameters");
    config["rope_theta"] = rope["rope_theta"];
    config["torch_dtype"] = config["dtype"];
    config.erase("dtype");
    if (rope.contains("partial_rotary_factor"))
      config["partial_rotary_factor"] = rope["partial_rotary_factor"];
    if (rope["rope_type"] == "default") return;
    config["rope_scaling"] = rope;
    config["rope_scaling"].erase("rope_theta");
    if (rope["rope_type"] == "linear") {  // older still
      config["rope_scaling"].erase("rope_type");
      config["rope_scaling"]["type"] = "linear";
    }
  };
  for (const std::string name :
       {"llama", "llama_llama3_rope", "llama_linear_rope", "qwen3", "phi3"}) {
    const auto expected = expected_of(name);
    const ChangedModel changed(name, respell);

    EXPECT_LT(relative_error(changed.load()->logits(expected.ids), expected.logits), 1e-5) << name;
  }
}

TEST(Decoder, RefusesTokensOutsideOfTheVocabulary) {
  const auto model = Decoder::load(golden("llama"));

  for (const int64_t id : {int64_t{96}, int64_t{-1}}) {
    const auto message = message_of<DataError>([&] {
      model->embed(at::full({1, 3}, id, at::kLong));
    });
    EXPECT_NE(message.find("token id " + std::to_string(id) +
                           " is outside of the model's vocabulary of 96"),
              std::string::npos)
        << message;
  }
}

TEST(Decoder, RefusesSequencesLongerThanLearnedPositions) {
  const auto model = Decoder::load(golden("gpt2"));

  const auto message = message_of<DataError>([&] { model->embed(at::zeros({1, 65}, at::kLong)); });

  EXPECT_NE(message.find("a sequence of 65 tokens is longer than the model's 64 learned positions"),
            std::string::npos)
      << message;
}

/// Whether an address lies in a mapping of the file.
bool is_mapped_from(const void* address, const std::filesystem::path& file) {
  std::ifstream maps("/proc/self/maps");
  const auto at = reinterpret_cast<uintptr_t>(address);
  for (std::string line; std::getline(maps, line);) {
    const auto dash = line.find('-');
    const auto begin = std::stoull(line.substr(0, dash), nullptr, 16);
    const auto end = std::stoull(line.substr(dash + 1), nullptr, 16);
    if (begin <= at && at < end) return line.find(file.string()) != std::string::npos;
  }
  return false;
}

TEST(Decoder, KeepsWeightsInTheMappedFile) {
  for (const std::string name : {"llama_bf16", "gpt2"}) {
    const auto model = Decoder::load(golden(name));

    for (const auto& [parameter, tensor] : model->parameters())
      EXPECT_TRUE(is_mapped_from(tensor.const_data_ptr(), golden(name) / "model.safetensors"))
          << parameter;
    for (const auto& site : model->sites())
      EXPECT_TRUE(is_mapped_from(model->dense_weight(site.index).const_data_ptr(),
                                 golden(name) / "model.safetensors"))
          << site.name;
  }
}

TEST(Decoder, WritableWeightsAreCopies) {
  const auto model = Decoder::load(golden("llama"), {.is_writable = true});
  const auto expected = expected_of("llama");

  for (auto& [name, tensor] : model->parameters()) {
    EXPECT_FALSE(is_mapped_from(tensor.const_data_ptr(), golden("llama") / "model.safetensors"))
        << name;
    tensor.zero_();
  }

  EXPECT_EQ(model->logits(expected.ids).abs().max().item<float>(), 0);
}

TEST(Decoder, AnotherDtypeRoundsTheWeights) {
  const auto model = Decoder::load(golden("llama"), {.dtype = at::kBFloat16});
  const auto expected = expected_of("llama");

  EXPECT_EQ(model->dense_weight(0).scalar_type(), at::kBFloat16);
  EXPECT_EQ(model->logits(expected.ids).scalar_type(), at::kFloat);
  const double error = relative_error(model->logits(expected.ids), expected.logits);
  EXPECT_GT(error, 1e-5);
  EXPECT_LT(error, 5e-2);
}

TEST(Decoder, TransposesWhatGpt2StoresByColumns) {
  const auto model = Decoder::load(golden("gpt2"));
  const auto file = format::TensorFolder::open(golden("gpt2"));

  for (const auto& site : model->sites()) {
    const auto stored = file.tensor(site.name + ".weight");
    EXPECT_EQ(model->dense_weight(site.index).sizes(),
              (at::IntArrayRef{site.out_features, site.in_features}));
    EXPECT_TRUE(model->dense_weight(site.index).equal(stored.t())) << site.name;
    EXPECT_TRUE(model->bias(site.index).equal(file.tensor(site.name + ".bias"))) << site.name;
  }
}

TEST(Decoder, ListsEveryTensorOfTheFileOnceAsAParameter) {
  for (const auto& name : kModels) {
    const auto model = Decoder::load(golden(name));
    const auto file = format::TensorFolder::open(golden(name));

    const auto parameters = model->parameters();

    EXPECT_EQ(parameters.size(), file.tensors().size()) << name;
    for (const auto& [parameter, tensor] : parameters) {
      ASSERT_TRUE(file.has(parameter)) << parameter;
      EXPECT_TRUE(tensor.equal(file.tensor(parameter))) << parameter;
    }
  }
}

}  // namespace
}  // namespace qtk::model
