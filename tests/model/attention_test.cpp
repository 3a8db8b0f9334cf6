#include "model/attention.hpp"

#include "golden.hpp"
#include "model/attention_cpu.hpp"

#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace qtk::model {
namespace {

struct Shape {
  int64_t batch, positions, heads, kv_heads, head_dim, rotated;
  std::optional<int64_t> window;
};

std::ostream& operator<<(std::ostream& out, const Shape& s) {
  return out << s.batch << "x" << s.positions << " heads " << s.heads << "/" << s.kv_heads
             << " dim " << s.head_dim << " rotated " << s.rotated << " window "
             << s.window.value_or(0);
}

// Lengths and widths on both sides of the kernel's tiles (16 or 32), rows (48) and key blocks
// (128).
const std::vector<Shape> kShapes = {
    {1, 1, 1, 1, 64, 64, {}},    {2, 33, 4, 2, 64, 64, {}},  {1, 300, 3, 1, 64, 64, {}},
    {1, 129, 2, 2, 12, 12, {}},  {1, 200, 4, 4, 80, 32, {}}, {1, 97, 2, 1, 128, 0, {}},
    {2, 48, 6, 2, 7, 4, {}},     {1, 300, 4, 2, 64, 64, 1},  {1, 300, 4, 2, 64, 64, 40},
    {1, 260, 2, 1, 40, 40, 129}, {3, 50, 2, 1, 33, 8, 50},   {1, 130, 2, 1, 64, 64, 1000},
};

AttentionHeads random_heads(const Shape& s, at::ScalarType dtype) {
  const auto generator = at::make_generator<at::CPUGeneratorImpl>(3);
  const auto draw = [&](int64_t heads) {
    return 2 * at::randn({s.batch, s.positions, heads, s.head_dim}, generator,
                         at::TensorOptions(at::kDouble))
                   .to(dtype);
  };
  return {draw(s.heads), draw(s.kv_heads), draw(s.kv_heads)};
}

RotaryTable table_for(const Shape& s) {
  if (s.rotated == 0) return {};
  DecoderConfig config;
  config.head_dim = s.rotated;
  return Rotary(config, at::kCPU).table(s.positions);
}

std::vector<CpuAttention> kernels() {
  const auto best = best_cpu_attention();
  std::vector<CpuAttention> all;
  if (best != CpuAttention::kNone) all.push_back(CpuAttention::kAvx2);
  if (best == CpuAttention::kAvx512) all.push_back(CpuAttention::kAvx512);
  return all;
}

TEST(CpuAttention, AgreesWithTheDifferentiableFormInFp64) {
  if (kernels().empty()) GTEST_SKIP() << "this processor has no AVX2";
  for (const auto& shape : kShapes)
    for (const auto kernel : kernels()) {
      const auto heads = random_heads(shape, at::kFloat);
      const auto expected = attention_ref(random_heads(shape, at::kDouble), table_for(shape),
                                          shape.window, AttentionForm::kTwiceDifferentiable);

      const auto found = cpu_attention(heads.queries, heads.keys, heads.values, table_for(shape),
                                       shape.window, kernel);

      EXPECT_LT(relative_error(found, expected), 1e-5)
          << shape << " kernel " << static_cast<int>(kernel);
    }
}

TEST(CpuAttention, ReadsSlicesOfAJoinedProjection) {
  if (kernels().empty()) GTEST_SKIP() << "this processor has no AVX2";
  const Shape shape{2, 70, 4, 2, 24, 24, {}};
  const auto heads = random_heads(shape, at::kFloat);
  const auto joined = at::cat({heads.queries, heads.keys, heads.values}, 2);

  const auto found = cpu_attention(joined.narrow(2, 0, 4), joined.narrow(2, 4, 2),
                                   joined.narrow(2, 6, 2), table_for(shape), shape.window);

  EXPECT_TRUE(found.equal(
      cpu_attention(heads.queries, heads.keys, heads.values, table_for(shape), shape.window)));
}

TEST(CpuAttention, SurvivesLargeScoresAndShowsNaN) {
  if (kernels().empty()) GTEST_SKIP() << "this processor has no AVX2";
  const Shape shape{1, 200, 1, 1, 16, 0, {}};
  auto heads = random_heads(shape, at::kFloat);
  heads.queries.mul_(1e4);

  EXPECT_TRUE(
      cpu_attention(heads.queries, heads.keys, heads.values, {}, {}).isfinite().all().item<bool>());
  heads.keys[0][150][0][3] = std::numeric_limits<float>::quiet_NaN();
  const auto found = cpu_attention(heads.queries, heads.keys, heads.values, {}, {});
  EXPECT_TRUE(found.narrow(1, 0, 144).isfinite().all().item<bool>());
  EXPECT_TRUE(found.narrow(1, 150, 50).isnan().all().item<bool>());
}

TEST(CpuAttention, RefusesShapesThatDoNotBelongTogether) {
  if (kernels().empty()) GTEST_SKIP() << "this processor has no AVX2";
  const auto q = at::zeros({1, 5, 4, 8}), k = at::zeros({1, 5, 3, 8});

  EXPECT_NE(message_of<Error>([&] {
              cpu_attention(q, k, k, {}, {});
            }).find("attention: q [1, 5, 4, 8], k [1, 5, 3, 8]"),
            std::string::npos);
  EXPECT_NE(message_of<Error>([&] {
              cpu_attention(q, q.transpose(1, 3).contiguous().transpose(1, 3), q, {}, {});
            }).find("features are not contiguous"),
            std::string::npos);
}

TEST(AttentionForm, BothFormsAgree) {
  for (const auto& shape : kShapes) {
    const auto heads = random_heads(shape, at::kDouble);

    const auto fused = attention_ref(heads, table_for(shape), shape.window, AttentionForm::kFused);
    const auto plain =
        attention_ref(heads, table_for(shape), shape.window, AttentionForm::kTwiceDifferentiable);

    EXPECT_LT(relative_error(fused, plain), 1e-10) << shape;
  }
}

TEST(Rotary, KeepsLengthsAndTurnsByTheDistanceOnly) {
  DecoderConfig config;
  config.head_dim = 16;
  Rotary rotary(config, at::kCPU);
  const auto table = rotary.table(40);
  const auto x = at::ones({1, 40, 1, 16}, at::kDouble);

  const auto turned = rotate_ref(x, table).squeeze();

  EXPECT_TRUE(turned.norm(2, 1).allclose(x.squeeze().norm(2, 1), 1e-6));
  const auto dot = [&](int64_t i, int64_t j) { return turned[i].dot(turned[j]).item<double>(); };
  EXPECT_NEAR(dot(3, 10), dot(30, 37), 1e-5);
  EXPECT_GT(std::abs(dot(3, 10) - dot(3, 12)), 1e-2);
}

TEST(Rotary, ATableGrownLaterHoldsTheSameAngles) {
  DecoderConfig config;
  config.head_dim = 8;
  Rotary grown(config, at::kCPU), whole(config, at::kCPU);
  grown.table(5);

  EXPECT_TRUE(grown.table(11).sines.equal(whole.table(11).sines));
  EXPECT_EQ(grown.table(3).cosines.size(0), 3);
}

}  // namespace
}  // namespace qtk::model
