// Packed models: what is written is what was promised, and opens as the deployed weights.
#include "stage/packed_model.hpp"

#include "stage_fixtures.hpp"
#include "variants.hpp"

namespace qtk::stage {
namespace {

class PackedModelTest : public testing::Test {
 protected:
  PackedModelTest() { tiny::write_model(source_); }

  std::vector<SiteOutcome> quantize(const config::QuantizerSection& section, const fs::path& folder,
                                    c10::optional<at::ScalarType> rest = {}) {
    return quantize_to(source_, folder, section, *context_, rest);
  }
  OpenModel open(const fs::path& folder) { return open_model(folder, {}, *context_); }

  TestContext context_;
  TemporaryFolder scratch_;
  const fs::path source_ = scratch_ / "source", packed_ = scratch_ / "packed";
};

/// The model of `source` with the weights that `opened` deploys, opened dense.
std::unique_ptr<model::Decoder> dense_twin(const OpenModel& opened, const fs::path& folder) {
  tiny::Tensors tensors;
  for (const auto& parameter : opened.decoder->parameters())
    tensors[parameter.name] = parameter.tensor;
  for (const auto& site : opened.decoder->sites())
    if (const auto* layer = opened.decoder->attached(site.index))
      tensors[site.name + ".weight"] = layer->weight().contiguous();
  tiny::write_model(folder, [&](auto&, auto& written) { written = tensors; });
  return model::Decoder::load(folder);
}

TEST_F(PackedModelTest, PredictsWhatADenseModelWithTheDeployedWeightsPredicts) {
  const std::vector<config::QuantizerSection> sections = {
      affine_section("{bits: 2, group_size: 32}"),
      affine_section("{bits: 3, group_size: -1, scale_dtype: f16}"),
      affine_section("{bits: 4, group_size: 0}"),
      affine_section("{bits: 8, group_size: 32, symmetric: true}"),
      affine_section("{bits: 4, group_size: 32}", {{"re:.*down_proj", "{bits: 8, group_size: -1}"},
                                                   {"re:.*layers\\.1.*", "{bits: 3}"}})};
  for (size_t i = 0; i < sections.size(); ++i) {
    const fs::path folder = scratch_ / std::to_string(i);
    quantize(sections[i], folder);

    const OpenModel opened = open(folder);

    const auto twin = dense_twin(opened, scratch_ / ("dense" + std::to_string(i)));
    const auto ids = sample_ids(tiny::kVocabulary);
    const auto expected = twin->logits(ids), found = opened.decoder->logits(ids);
    EXPECT_LT((found - expected).abs().max().item<double>(),
              1e-5 * expected.abs().max().item<double>())
        << i;
    EXPECT_EQ(opened.plan.num_sites(), 14);
  }
}

TEST_F(PackedModelTest, StorageBitsAreTheBytesInTheFiles) {
  for (const char* options : {"{bits: 3, group_size: 32}", "{bits: 2, group_size: -1}",
                              "{bits: 8, group_size: 0, symmetric: true}",
                              "{bits: 4, group_size: 16, scale_dtype: f16}"}) {
    fs::remove_all(packed_);
    const auto outcomes = quantize(affine_section(options), packed_);
    const OpenModel opened = open(packed_);
    int64_t promised = 0, stored = 0, all = 0;
    for (const auto& outcome : outcomes) promised += outcome.storage_bits;
    const auto files = format::TensorFolder::open(packed_);
    for (const auto& info : files.tensors()) {
      all += info.nbytes();
      if (info.name.find("_proj.") != std::string::npos) stored += 8 * info.nbytes();
    }

    EXPECT_EQ(outcomes.size(), 14u);
    EXPECT_EQ(promised, stored) << options;
    EXPECT_EQ(opened.packed_bits, stored) << options;
    EXPECT_EQ(opened.tensor_bytes, all) << options;
    EXPECT_EQ(opened.packed_weights, 2 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 96 * 64));
  }
}

TEST_F(PackedModelTest, TwoBitCodesReadBackAsTheDeployedWeights) {
  for (const char* options : {"{bits: 2, group_size: 32}", "{bits: 2, group_size: -1}",
                              "{bits: 2, group_size: 0, symmetric: true}"}) {
    const auto section = affine_section(options);
    fs::remove_all(packed_);
    quantize(section, packed_);
    const OpenModel opened = open(packed_);
    const auto dense = model::Decoder::load(source_);
    const auto plan = plan_quantizers(section, dense->sites(), *context_);

    for (const auto& site : dense->sites()) {
      auto* quantizer = plan.quantizer_of(site.index);
      if (quantizer == nullptr) continue;
      const auto layer = quantizer->attach(site, {.weight = dense->dense_weight(site.index)});
      EXPECT_TRUE(bits_equal(opened.decoder->attached(site.index)->weight(), layer->weight()))
          << options << " " << site.name;
      EXPECT_EQ(opened.decoder->attached(site.index)->pack().tensors.at("codes").sizes(),
                (std::vector<int64_t>{site.out_features, site.in_features / 4}));
    }
  }
}

TEST_F(PackedModelTest, OutcomesHoldTheRelativeErrorOfEverySite) {
  const auto outcomes = quantize(affine_section("{bits: 3, group_size: 32}"), packed_);
  const OpenModel opened = open(packed_);
  const auto dense = model::Decoder::load(source_);

  for (const auto& outcome : outcomes) {
    const auto before = dense->dense_weight(outcome.site),
               after = opened.decoder->attached(outcome.site)->weight();
    EXPECT_NEAR(outcome.relative_error, ((after - before).norm() / before.norm()).item<double>(),
                1e-6);
  }
}

TEST_F(PackedModelTest, RulesTargetsAndSkipChooseTheSites) {
  auto chosen = affine_section(
      "{bits: 4, group_size: 32}",
      {{"re:.*q_proj", "{bits: 2}"}, {"model.layers.0.self_attn.q_proj", "{bits: 8}"}});
  chosen.targets = {"re:.*layers\\.0\\..*", "lm_head"};
  chosen.skip = {"re:.*down_proj"};
  quantize(chosen, packed_);

  const OpenModel opened = open(packed_);

  std::map<std::string, int> bits;
  for (const auto& site : opened.decoder->sites())
    if (const auto* layer = opened.decoder->attached(site.index))
      bits[site.name] = layer->grid()->bits;
  const std::string at = "model.layers.0.";
  const std::map<std::string, int> expected = {{at + "self_attn.q_proj", 8},
                                               {at + "self_attn.k_proj", 4},
                                               {at + "self_attn.v_proj", 4},
                                               {at + "self_attn.o_proj", 4},
                                               {at + "mlp.gate_proj", 4},
                                               {at + "mlp.up_proj", 4},
                                               {"lm_head", 4}};
  EXPECT_EQ(bits, expected);
}

TEST_F(PackedModelTest, TheRestIsStoredInTheTypeAskedFor) {
  quantize(affine_section("{bits: 4, group_size: 32}"), packed_, at::kBFloat16);

  const auto stored = format::TensorFolder::open(packed_);

  const auto dense = tiny::random_tensors();
  for (const char* name : {"model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"})
    EXPECT_TRUE(bits_equal(stored.tensor(name), dense.at(name).to(at::kBFloat16))) << name;
}

TEST_F(PackedModelTest, CompanionsComeAlongAndWeightsOfTheSourceDoNot) {
  write_file_atomically(source_ / "generation_config.json", "{}");
  write_file_atomically(source_ / "old.bin", "pickle");

  quantize(affine_section("{bits: 4, group_size: 32}"), packed_);

  EXPECT_EQ(bytes_in(packed_ / "tokenizer.json"), bytes_in(source_ / "tokenizer.json"));
  EXPECT_TRUE(fs::exists(packed_ / "generation_config.json"));
  EXPECT_FALSE(fs::exists(packed_ / "old.bin"));
  EXPECT_FALSE(fs::exists(packed_ / "model.safetensors"));
}

TEST_F(PackedModelTest, BlocksThatAreThereAreKept) {
  const auto first = quantize(affine_section("{bits: 4, group_size: 32}"), packed_);
  const auto before = contents_of(packed_);
  const fs::path shard = packed_ / "model-00002-of-00003.safetensors";
  ASSERT_TRUE(fs::exists(shard));
  const auto old = fs::file_time_type::clock::now() - std::chrono::hours(1);
  fs::last_write_time(shard, old);
  fs::remove(packed_ / "model-00003-of-00003.safetensors");

  const auto second = quantize(affine_section("{bits: 4, group_size: 32}"), packed_);

  EXPECT_EQ(fs::last_write_time(shard), old);
  EXPECT_EQ(contents_of(packed_), before);
  ASSERT_EQ(second.size(), first.size());
  for (size_t i = 0; i < first.size(); ++i) {
    EXPECT_EQ(second[i].site, first[i].site);
    EXPECT_EQ(second[i].relative_error, first[i].relative_error);
    EXPECT_EQ(second[i].storage_bits, first[i].storage_bits);
  }
}

TEST_F(PackedModelTest, DamagedBlocksAreMadeAgain) {
  quantize(affine_section("{bits: 4, group_size: 32}"), packed_);
  const auto before = contents_of(packed_);
  const std::string shard = "model-00002-of-00003.safetensors";
  const std::string whole = before.at(shard);
  for (const std::string& damaged :
       {whole.substr(0, whole.size() - 1), whole.substr(0, 40), std::string(), whole + "x",
        bytes_in(source_ / "model.safetensors")}) {
    std::ofstream(packed_ / shard, std::ios::binary) << damaged;

    quantize(affine_section("{bits: 4, group_size: 32}"), packed_);

    EXPECT_TRUE(contents_of(packed_) == before) << damaged.size();
  }
}

TEST_F(PackedModelTest, GroupSizesThatDoNotDivideAreRefusedWithTheLayersCounted) {
  expect_contains(sentence_of<ConfigError>(
                      [&] { quantize(affine_section("{bits: 4, group_size: 64}"), packed_); }),
                  {"model.layers.0.mlp.down_proj", "64", "96", "(2 layers affected)", "32"});
  EXPECT_FALSE(fs::exists(packed_));
}

TEST_F(PackedModelTest, TargetsThatLeaveNothingAreRefused) {
  auto nothing = affine_section("{bits: 4}");
  nothing.targets = {"re:.*w1"};

  expect_contains(
      sentence_of<ConfigError>([&] { quantize(nothing, packed_); }),
      {"quantizer.targets", "quantizer.skip", "no linear layer of the 15", "qtk inspect --model"});
}

/// A packed model with its quantization_config, or its tensors, changed.
class DamagedPackedModelTest : public PackedModelTest {
 protected:
  using Change = std::function<void(tiny::json& config, tiny::Tensors& tensors)>;

  void damage(const Change& change) {
    fs::remove_all(packed_);
    quantize(affine_section("{bits: 4, group_size: 32}"), packed_);
    auto config = tiny::json::parse(bytes_in(packed_ / "config.json"));
    tiny::Tensors tensors;
    const auto stored = format::TensorFolder::open(packed_);
    for (const auto& info : stored.tensors()) tensors[info.name] = stored.tensor(info.name).clone();
    change(config["quantization_config"], tensors);
    for (const auto& entry : fs::directory_iterator(packed_))
      if (entry.path().filename().string().starts_with("model")) fs::remove(entry.path());
    tiny::write_weights(packed_, tensors);
    write_file_atomically(packed_ / "config.json", config.dump());
  }

  const std::string site_ = "model.layers.1.mlp.up_proj";
};

TEST_F(DamagedPackedModelTest, QuantizationConfigsThatDoNotFitAreRefused) {
  struct Case {
    Change change;
    std::vector<std::string> fragments;
  };
  const std::vector<Case> cases = {
      {[](auto& c, auto&) { c["quant_method"] = "gptq"; },
       {"config.json", "quantized by 'gptq'", "qtk's own"}},
      {[](auto& c, auto&) { c = 5; }, {"config.json", "quantized by"}},
      {[](auto& c, auto&) { c.erase("plugin"); }, {"config.json", "lacks plugin or groups"}},
      {[](auto& c, auto&) { c["groups"][0].erase("options"); },
       {"config.json", "a group without options or sites", "make the packed model again"}},
      {[](auto& c, auto&) { c["groups"][0]["sites"].push_back("model.layers.7.mlp.up_proj"); },
       {"config.json", "names the layer \"model.layers.7.mlp.up_proj\"", "does not have"}},
      {[](auto& c, auto&) { c["groups"][0]["sites"].push_back(c["groups"][0]["sites"][0]); },
       {"config.json", "names the layer \"model.layers.0.self_attn.q_proj\" twice"}}};
  for (const auto& [change, fragments] : cases) {
    damage(change);
    expect_contains(sentence_of<DataError>([&] { open(packed_); }), fragments);
  }
}

TEST_F(DamagedPackedModelTest, UnknownPluginsAreRefusedWithTheNearest) {
  damage([](auto& c, auto&) { c["plugin"] = "afine"; });

  expect_contains(sentence_of<PluginError>([&] { open(packed_); }), {"afine", "affine"});
}

TEST_F(DamagedPackedModelTest, PackedTensorsThatDoNotFitAreRefused) {
  struct Case {
    std::string name;
    std::function<void(tiny::Tensors&)> change;
    std::vector<std::string> fragments;
  };
  const std::vector<Case> cases = {
      {"codes missing", [&](auto& t) { t.erase(site_ + ".codes"); }, {site_, "codes"}},
      {"all missing",
       [&](auto& t) {
         for (const char* part : {".codes", ".scales", ".zeros"}) t.erase(site_ + part);
       },
       {site_}},
      {"codes too short",
       [&](auto& t) { t[site_ + ".codes"] = t[site_ + ".codes"].slice(1, 1).contiguous(); },
       {site_, "codes", "[96, 31]"}},
      {"scales of another type",
       [&](auto& t) { t[site_ + ".scales"] = t[site_ + ".scales"].to(at::kInt); },
       {site_, "scales"}},
      {"zeros of a row too few",
       [&](auto& t) { t[site_ + ".zeros"] = t[site_ + ".zeros"].slice(0, 1).contiguous(); },
       {site_, "zeros"}}};
  for (const auto& [name, change, fragments] : cases) {
    SCOPED_TRACE(name);
    damage([&](auto&, auto& tensors) { change(tensors); });
    expect_contains(sentence_of<DataError>([&] { open(packed_); }), fragments);
  }
}

TEST_F(PackedModelTest, GroupsThatAreNoListAreRefused) {
  quantize(affine_section("{bits: 4, group_size: 32}"), packed_);
  auto config = tiny::json::parse(bytes_in(packed_ / "config.json"));
  for (const auto& groups : {tiny::json("all"), tiny::json(5), tiny::json::array({1}),
                             tiny::json::array({tiny::json{{"options", 1}, {"sites", 3}}})}) {
    config["quantization_config"]["groups"] = groups;
    write_file_atomically(packed_ / "config.json", config.dump());
    expect_contains(sentence_of<DataError>([&] { open(packed_); }),
                    {"config.json", "quantization_config"});
  }
}

TEST_F(PackedModelTest, ARenamedLayerIsNamed) {
  quantize(affine_section("{bits: 4, group_size: 32}"), packed_);
  auto config = tiny::json::parse(bytes_in(packed_ / "config.json"));
  config["quantization_config"]["groups"][0]["sites"][3] = "model.layers.7.mlp.up_proj";
  write_file_atomically(packed_ / "config.json", config.dump());
  expect_contains(sentence_of<DataError>([&] { open(packed_); }),
                  {"model.layers.7.mlp.up_proj", "does not have"});
}

TEST_F(PackedModelTest, OptionsInAPackedModelThatThePluginRefusesAreADataError) {
  quantize(affine_section("{bits: 4, group_size: 32}"), packed_);
  auto config = tiny::json::parse(bytes_in(packed_ / "config.json"));
  config["quantization_config"]["groups"][0]["options"]["bits"] = 99;
  write_file_atomically(packed_ / "config.json", config.dump());
  expect_contains(sentence_of<DataError>([&] { open(packed_); }),
                  {(packed_ / "config.json").string(), "bits", "99"});
}

TEST_F(PackedModelTest, MissingPackedTensorsNameTheFolder) {
  quantize(affine_section("{bits: 4, group_size: 32}"), packed_);
  const auto stored = format::TensorFolder::open(packed_);
  tiny::Tensors tensors;
  for (const auto& info : stored.tensors()) tensors[info.name] = stored.tensor(info.name).clone();
  tensors.erase("model.layers.1.mlp.up_proj.codes");
  for (const auto& entry : fs::directory_iterator(packed_))
    if (entry.path().filename().string().starts_with("model")) fs::remove(entry.path());
  tiny::write_weights(packed_, tensors);
  expect_contains(sentence_of<DataError>([&] { open(packed_); }),
                  {packed_.string(), "model.layers.1.mlp.up_proj", "codes"});
}

}  // namespace
}  // namespace qtk::stage
