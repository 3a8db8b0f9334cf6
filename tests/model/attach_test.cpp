#include "fake_quantizer.hpp"
#include "golden.hpp"
#include "model/decoder.hpp"

#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace qtk::model {
namespace {

/// Attaches a fake layer to every site that `wants` it.
void attach_all(
    Decoder& model, FakeQuantizer& quantizer,
    const std::function<bool(const LinearSite&)>& wants = [](const LinearSite&) { return true; }) {
  for (const auto& site : model.sites())
    if (wants(site))
      model.attach(site.index,
                   quantizer.attach(site, {.weight = model.dense_weight(site.index).to(at::kFloat),
                                           .bias = model.bias(site.index)}));
}

class AttachedModel : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Families, AttachedModel,
                         ::testing::Values("llama", "llama_llama3_rope", "qwen3", "phi3", "gpt2"),
                         [](const auto& info) { return info.param; });

TEST_P(AttachedModel, ComputesWithTheWeightsOfItsLayers) {
  const auto ids = expected_of(GetParam()).ids;
  const auto model = Decoder::load(golden(GetParam()));
  FakeQuantizer quantizer;
  attach_all(*model, quantizer);
  // The same rounding applied to the file.
  const ChangedModel rounded(GetParam(), nullptr, [&](Tensors& tensors) {
    for (const auto& site : model->sites()) {
      auto& weight = tensors[site.name + ".weight"];
      weight = (weight * 8).round() / 8;
    }
  });

  EXPECT_LT(relative_error(model->logits(ids), rounded.load()->logits(ids)), 1e-5);
  for (const auto& site : model->sites())
    EXPECT_EQ(static_cast<FakeLinear*>(model->attached(site.index))->num_calls, 1) << site.name;
}

TEST_P(AttachedModel, ReturnsToItsDenseWeights) {
  const auto expected = expected_of(GetParam());
  const auto model = Decoder::load(golden(GetParam()));
  FakeQuantizer quantizer;
  attach_all(*model, quantizer);
  model->fuse([&](int64_t) { return &quantizer; });
  EXPECT_GT(relative_error(model->logits(expected.ids), expected.logits), 1e-3);

  for (const auto& site : model->sites()) {
    EXPECT_EQ(model->dense_weight(site.index).sizes(),
              (at::IntArrayRef{site.out_features, site.in_features}));
    model->detach(site.index);
    EXPECT_EQ(model->attached(site.index), nullptr);
  }

  EXPECT_LT(relative_error(model->logits(expected.ids), expected.logits), 1e-5);
}

TEST(Attach, JoinsTheLayersOfOneInput) {
  const auto ids = expected_of("llama").ids;
  const auto model = Decoder::load(golden("llama"));
  FakeQuantizer quantizer;
  attach_all(*model, quantizer);
  const auto apart = model->logits(ids);

  model->fuse([&](int64_t) { return &quantizer; });
  const auto joined = model->logits(ids);

  ASSERT_EQ(quantizer.fused.size(), 4u);  // per block: q, k, v and gate, up
  const auto layer = [&](int64_t site) { return model->attached(site); };
  EXPECT_EQ(quantizer.fused[0], (std::vector<QuantizedLinear*>{layer(0), layer(1), layer(2)}));
  EXPECT_EQ(quantizer.fused[1], (std::vector<QuantizedLinear*>{layer(4), layer(5)}));
  EXPECT_EQ(quantizer.fused[3], (std::vector<QuantizedLinear*>{layer(11), layer(12)}));
  EXPECT_EQ(quantizer.num_joint_calls, 4);
  EXPECT_TRUE(joined.equal(apart));
}

TEST(Attach, JoinsOnlyCompleteGroups) {
  const auto model = Decoder::load(golden("llama"));
  FakeQuantizer quantizer;
  attach_all(*model, quantizer,
             [](const LinearSite& site) { return site.role != "k_proj" && site.block == 0; });

  model->fuse([&](int64_t) { return &quantizer; });

  ASSERT_EQ(quantizer.fused.size(), 1u);
  EXPECT_EQ(quantizer.fused[0],
            (std::vector<QuantizedLinear*>{model->attached(4), model->attached(5)}));
}

TEST(Attach, AskedWithoutAnAnswerItCallsLayersOneByOne) {
  const auto model = Decoder::load(golden("llama"));
  FakeQuantizer quantizer;
  quantizer.joins = false;
  attach_all(*model, quantizer);

  model->fuse([&](int64_t) { return &quantizer; });
  model->logits(expected_of("llama").ids);

  EXPECT_EQ(quantizer.num_joint_calls, 0);
  EXPECT_EQ(static_cast<FakeLinear*>(model->attached(0))->num_calls, 1);
}

TEST(Attach, PartsAGroupWhenOneOfItsLayersChanges) {
  const auto ids = expected_of("llama").ids;
  const auto model = Decoder::load(golden("llama"));
  FakeQuantizer quantizer;
  attach_all(*model, quantizer, [](const LinearSite& site) { return site.block == 0; });
  model->fuse([&](int64_t) { return &quantizer; });
  ASSERT_EQ(quantizer.fused.size(), 2u);

  model->detach(1);
  model->logits(ids);

  EXPECT_EQ(quantizer.num_joint_calls, 1);  // gate and up alone
  EXPECT_EQ(static_cast<FakeLinear*>(model->attached(0))->num_calls, 1);
}

TEST(Attach, ReplacesTheHeadOnlyIfItIsNotTied) {
  const auto tied = Decoder::load(golden("llama"));
  const auto untied = Decoder::load(golden("mistral"));
  FakeQuantizer quantizer;
  EXPECT_TRUE(tied->head_weight().is_same(tied->parameters().front().tensor));
  EXPECT_TRUE(untied->head_weight().is_same(untied->parameters().back().tensor));

  attach_all(*untied, quantizer);

  EXPECT_FALSE(untied->head_weight().defined());
  EXPECT_EQ(tied->sites().back().role, "down_proj");
  EXPECT_EQ(untied->sites().back().role, "lm_head");
}

TEST(Attach, RefusesSitesThatDoNotExistAndNoLayer) {
  const auto model = Decoder::load(golden("llama"));

  EXPECT_NE(message_of<Error>([&] { model->dense_weight(14); }).find("site 14 of 14"),
            std::string::npos);
  EXPECT_NE(message_of<Error>([&] { model->detach(-1); }).find("site -1 of 14"), std::string::npos);
  EXPECT_NE(message_of<Error>([&] { model->attach(0, nullptr); }).find("attach() needs a layer"),
            std::string::npos);
}

}  // namespace
}  // namespace qtk::model
