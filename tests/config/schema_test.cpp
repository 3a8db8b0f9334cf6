#include "config/schema.hpp"

#include "config/run_config.hpp"

#include <qtk/options/option_set.hpp>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace qtk::config {
namespace {

using Json = nlohmann::json;

struct SchemaOptions {
  int bits = 4;
  double damp = 0.5;
  std::string rule = "absmax";
  std::string note;
  bool fast = false;
  int64_t patience = 60;
  std::vector<int64_t> codebook = {-1, 1};
  static void describe(OptionSet<SchemaOptions>& o) {
    o.field("bits", &SchemaOptions::bits).range(2, 8).unit("bit").doc("Bits per weight.");
    o.field("damp", &SchemaOptions::damp).at_least(0).doc("Damping.");
    o.field("rule", &SchemaOptions::rule).one_of({"absmax", "mse"}).doc("Rule.");
    o.field("note", &SchemaOptions::note).doc("Note.");
    o.field("fast", &SchemaOptions::fast).deprecated("nothing").doc("Fast.");
    o.field("patience", &SchemaOptions::patience).unit("s").doc("Patience.");
    o.field("codebook", &SchemaOptions::codebook).range(-8, 7).doc("Levels.");
  }
};

Json options() { return Json::parse(options_schema(option_table<SchemaOptions>())); }

TEST(OptionsSchema, IsAStrictObjectOfDescribedOptions) {
  const Json schema = options();

  EXPECT_EQ(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
  EXPECT_EQ(schema["additionalProperties"], false);
  EXPECT_EQ(schema["properties"].size(), 7u);
  EXPECT_EQ(schema["properties"]["bits"]["description"], "Bits per weight. In bit.");
  EXPECT_EQ(schema["properties"]["bits"]["default"], 4);
  EXPECT_EQ(schema["properties"]["fast"]["deprecated"], true);
}

TEST(OptionsSchema, HoldsTypesBoundsAndChoices) {
  const Json properties = options()["properties"];

  EXPECT_EQ(properties["bits"]["anyOf"][0],
            Json::parse(R"({"type": "integer", "minimum": 2, "maximum": 8})"));
  EXPECT_EQ(properties["damp"]["anyOf"][0], Json::parse(R"({"type": "number", "minimum": 0.0})"));
  EXPECT_EQ(properties["rule"]["anyOf"][0],
            Json::parse(R"({"type": "string", "enum": ["absmax", "mse"]})"));
  EXPECT_EQ(properties["note"]["type"], "string");
  EXPECT_EQ(properties["codebook"]["type"], "array");
  EXPECT_EQ(properties["codebook"]["items"]["anyOf"][0]["minimum"], -8);
  EXPECT_EQ(properties["codebook"]["default"], Json::parse("[-1, 1]"));
}

TEST(OptionsSchema, AllowsTheOtherSpellingsOfNumbers) {
  const Json properties = options()["properties"];

  EXPECT_EQ(properties["bits"]["anyOf"].size(), 3u);      // integer, suffix, reference
  EXPECT_EQ(properties["patience"]["anyOf"].size(), 4u);  // and a duration
}

TEST(RunSchema, HoldsEverySectionWithItsRequiredKeys) {
  const Json schema = Json::parse(run_schema());

  for (const std::string& key : section_table<RunConfig>().keys())
    EXPECT_TRUE(schema["properties"].contains(key)) << key;
  EXPECT_TRUE(schema["properties"].contains("include"));
  EXPECT_EQ(schema["required"], Json::parse(R"(["qtk", "name", "model"])"));
  const Json& eval = schema["properties"]["data"]["properties"]["eval"];
  EXPECT_EQ(eval["required"], Json::parse(R"(["files"])"));
  EXPECT_EQ(eval["properties"]["protocol"]["anyOf"].size(), 2u);  // one, or a list
  EXPECT_EQ(eval["additionalProperties"], false);
  EXPECT_EQ(schema["properties"]["export"]["items"]["required"], Json::parse(R"(["use"])"));
}

TEST(RunSchema, ChecksTheOptionsOfThePluginThatIsNamed) {
  const std::vector<PluginTable> plugins = {{"quantizer", "affine", option_table<SchemaOptions>()},
                                            {"scheduler", "cosine", option_table<SchemaOptions>()}};

  const Json quantizer = Json::parse(run_schema(plugins))["properties"]["quantizer"];

  ASSERT_EQ(quantizer["allOf"].size(), 1u);
  EXPECT_EQ(quantizer["allOf"][0]["if"]["properties"]["use"]["const"], "affine");
  EXPECT_TRUE(
      quantizer["allOf"][0]["then"]["properties"]["options"]["properties"].contains("bits"));
}

}  // namespace
}  // namespace qtk::config
