// The probe against brute force: losses of a tiny model with its weights moved by hand.
#include "train/model_probe.hpp"

#include "../stage/stage_fixtures.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

namespace qtk::train {
namespace {

using model::Decoder;

constexpr int64_t kQuery = 0, kDown = 6, kQuerySecond = 7;  // among the tiny model's sites

at::Tensor random_signs(at::IntArrayRef shape, uint64_t seed, const at::TensorOptions& options) {
  RandomStream random({.seed = seed, .purpose = "test.signs"});
  auto signs = at::empty(shape, at::kDouble);
  random.fill_rademacher(signs);
  return signs.to(options.dtype());
}

class DecoderProbeTest : public ::testing::TestWithParam<at::ScalarType> {
 protected:
  DecoderProbeTest() {
    tiny::write_model(scratch_ / "model");
    decoder_ = Decoder::load(scratch_ / "model", {.dtype = GetParam()});
    for (int64_t batch = 0; batch < 2; ++batch)
      batches_.push_back(
          (at::arange(2 * 9, at::kLong) * 31 + 7 * batch + 5).remainder(300).reshape({2, 9}));
  }
  ProbeInit init(std::vector<int64_t> sites) const {
    return {.sites = std::move(sites), .batches = batches_};
  }
  bool is_double() const { return GetParam() == at::kDouble; }

  TemporaryFolder scratch_;
  std::unique_ptr<Decoder> decoder_;
  std::vector<at::Tensor> batches_;
};
INSTANTIATE_TEST_SUITE_P(Dtypes, DecoderProbeTest, ::testing::Values(at::kDouble, at::kFloat),
                         [](const auto& dtype) { return std::string(c10::toString(dtype.param)); });

TEST_P(DecoderProbeTest, LossIsTheMeanCrossEntropyOfTheNextToken) {
  DecoderProbe probe(*decoder_, init({kQuery}));
  const c10::InferenceMode inference;
  const auto log_p = decoder_->logits(batches_[1]).to(at::kDouble).log_softmax(-1);
  double expected = 0;
  for (int64_t b = 0; b < 2; ++b)
    for (int64_t s = 0; s < 8; ++s)
      expected -= log_p[b][s][batches_[1][b][s + 1].item<int64_t>()].item<double>() / 16;

  EXPECT_NEAR(probe.loss(1, -1, {}), expected, is_double() ? 1e-10 : 2e-5);
}

TEST_P(DecoderProbeTest, GradientsAreTheSlopesOfTheLoss) {
  DecoderProbe probe(*decoder_, init({kQuery, kDown, kQuerySecond}));
  const auto gradients = probe.gradients(0, std::vector<int64_t>{0, 1, 2}, {});
  for (int64_t site = 0; site < 3; ++site) {
    const auto w = probe.weight(site);
    const auto v = random_signs(w.sizes(), 3, w.options());
    const double step = is_double() ? 1e-5 : 3e-3;

    const double slope =
        (probe.loss(0, site, w + step * v) - probe.loss(0, site, w - step * v)) / (2 * step);

    const double found = at::mul(gradients[static_cast<size_t>(site)], v).sum().item<double>();
    EXPECT_NEAR(found, slope, is_double() ? 1e-7 : 3e-3 * (1 + std::abs(slope))) << site;
  }
  EXPECT_EQ(probe.counts(), (PassCounts{1, 0}));
}

TEST_P(DecoderProbeTest, ABatchsGradientIsTheMeanOfItsSamples) {
  DecoderProbe probe(*decoder_, init({kDown}));
  const std::vector<int64_t> site = {0};

  const auto whole = probe.gradients(1, site, {})[0];
  const auto mean =
      (probe.gradients(1, site, {.sample = 0})[0] + probe.gradients(1, site, {.sample = 1})[0]) / 2;

  EXPECT_TRUE(at::allclose(whole, mean, 1e-4, is_double() ? 1e-12 : 1e-6));
}

// trace(G) = mean over positions of sum_c p_c |grad(-log p_c)|^2, class after class.
TEST_P(DecoderProbeTest, DrawnLabelsGiveTheGaussNewtonTrace) {
  if (!is_double()) GTEST_SKIP() << "one dtype is enough for a random mean";
  const auto firsts = at::tensor(std::vector<int64_t>{5, 112});
  ProbeInit all{.sites = {kDown}, .batches = {at::stack({firsts, firsts}, 1)}};
  for (int64_t first = 0; first < 2; ++first)
    for (int64_t next = 0; next < tiny::kVocabulary; ++next)
      all.batches.push_back(
          at::tensor(std::vector<int64_t>{firsts[first].item<int64_t>(), next}).reshape({1, 2}));
  const std::vector<int64_t> site = {0};
  at::Tensor p;
  {
    const c10::InferenceMode inference;
    p = decoder_->logits(firsts.unsqueeze(1)).squeeze(1).softmax(-1);
  }
  DecoderProbe probe(*decoder_, all);
  double expected = 0;
  for (int64_t first = 0; first < 2; ++first)
    for (int64_t next = 0; next < tiny::kVocabulary; ++next)
      expected += 0.5 * p[first][next].item<double>() *
                  probe.gradients(1 + first * tiny::kVocabulary + next, site, {})[0]
                      .square()
                      .sum()
                      .item<double>();
  constexpr int kDraws = 600;
  std::vector<double> norms;
  for (int draw = 0; draw < kDraws; ++draw)
    norms.push_back(
        probe
            .gradients(0, site,
                       {.labels = RandomStream({.purpose = "test.labels", .step = draw})})[0]
            .square()
            .sum()
            .item<double>());
  const auto found = at::tensor(norms, at::kDouble);
  const double error = found.std().item<double>() / std::sqrt(static_cast<double>(kDraws));

  EXPECT_NEAR(found.mean().item<double>(), expected, 4 * error);
  EXPECT_LT(error, 0.1 * expected);
}

// v' H v against the second difference of losses.
TEST_P(DecoderProbeTest, ProductsAreSecondDerivativesOfTheLoss) {
  if (!is_double()) GTEST_SKIP() << "second differences of losses need fp64";
  DecoderProbe probe(*decoder_, init({kQuery, kDown, kQuerySecond}));
  for (int64_t site = 0; site < 3; ++site) {
    const auto w = probe.weight(site);
    const auto v = random_signs(w.sizes(), 5, w.options());
    const int64_t sites[] = {site};
    const at::Tensor vector[] = {v.unsqueeze(0)};
    const double step = 1e-3;

    const auto product = probe.hessian(0, sites, {})(vector).front();

    const double second = (probe.loss(0, site, w + step * v) - 2 * probe.loss(0, site, w) +
                           probe.loss(0, site, w - step * v)) /
                          (step * step);
    const double found = at::mul(product[0], v).sum().item<double>();
    EXPECT_NEAR(found, second, 2e-4 * std::abs(second) + 1e-5) << site;
  }
}

TEST_P(DecoderProbeTest, TheHessianIsSymmetricAcrossSites) {
  DecoderProbe probe(*decoder_, init({kQuery, kDown}));
  const int64_t sites[] = {0, 1};
  const auto product = probe.hessian(0, sites, {});
  std::vector<at::Tensor> x, y;
  for (const int64_t site : sites) {
    const auto w = probe.weight(site);
    x.push_back(random_signs(w.sizes(), 1, w.options()).unsqueeze(0));
    y.push_back(random_signs(w.sizes(), 2, w.options()).unsqueeze(0));
  }
  const auto dot = [](const auto& a, const auto& b) {
    return (at::mul(a[0], b[0]).sum() + at::mul(a[1], b[1]).sum()).template item<double>();
  };

  const double xy = dot(y, product(x)), yx = dot(x, product(y));

  EXPECT_NEAR(xy, yx, is_double() ? 1e-9 : 2e-3 * (1 + std::abs(xy)));
}

TEST_P(DecoderProbeTest, DifferencesOfGradientsAgreeWithDoubleBackward) {
  DecoderProbe probe(*decoder_, init({kQuery, kDown}));
  const int64_t sites[] = {0, 1};
  std::vector<at::Tensor> v;
  for (const int64_t site : sites) {
    const auto w = probe.weight(site);
    v.push_back(random_signs({2, w.size(0), w.size(1)}, 1, w.options()));
  }

  const auto exact = probe.hessian(1, sites, {.vectors = 2})(v);
  const auto differences = probe.hessian(
      1, sites,
      {.form = HessianForm::kFiniteDifferences, .relative_step = is_double() ? 1e-4 : 1e-2})(v);

  for (size_t i = 0; i < 2; ++i)
    EXPECT_LT(((differences[i] - exact[i]).norm() / exact[i].norm()).item<double>(),
              is_double() ? 1e-6 : 2e-2)
        << i;
}

TEST_P(DecoderProbeTest, SeveralVectorsAtOnceGiveTheProductsOfEach) {
  DecoderProbe probe(*decoder_, init({kQuery, kDown, kQuerySecond}));
  const std::vector<int64_t> sites = {0, 1, 2};
  const auto one = probe.hessian(0, sites, {}), four = probe.hessian(0, sites, {.vectors = 4});
  std::vector<at::Tensor> v;
  for (const int64_t site : sites) {
    const auto w = probe.weight(site);
    v.push_back(random_signs({3, w.size(0), w.size(1)}, 9, w.options()));  // fewer than announced
  }

  const auto together = four(v);

  for (int64_t k = 0; k < 3; ++k) {
    std::vector<at::Tensor> single;
    for (const auto& of_site : v) single.push_back(of_site.narrow(0, k, 1));
    const auto expected = one(single);
    for (size_t i = 0; i < 3; ++i)
      EXPECT_LT(((together[i][k] - expected[i][0]).norm() / expected[i].norm()).item<double>(),
                is_double() ? 1e-12 : 1e-4);
  }
  EXPECT_EQ(probe.counts().hessian_products, 6);
  EXPECT_EQ(probe.counts().gradient_passes, 1 + 4 + 3 + 3);
}

TEST_P(DecoderProbeTest, LaterBlocksStartFromTheStatesOfEarlierOnes) {
  DecoderProbe both(*decoder_, init({kQuery, kQuerySecond}));
  const auto later_first = both.gradients(0, std::vector<int64_t>{1}, {})[0];
  const auto earlier = both.gradients(0, std::vector<int64_t>{0}, {})[0];
  const auto together = both.gradients(0, std::vector<int64_t>{0, 1}, {});

  EXPECT_TRUE(at::equal(earlier, together[0]));
  EXPECT_TRUE(at::allclose(later_first, together[1], 1e-4, 1e-7));
}

TEST_P(DecoderProbeTest, TheModelIsGivenBackAsItWas) {
  const c10::InferenceMode inference;
  const auto before = decoder_->logits(batches_[0]);
  {
    DecoderProbe probe(*decoder_, init({kQuery, kDown}));
    probe.gradients(0, std::vector<int64_t>{0, 1}, {});
  }

  EXPECT_EQ(decoder_->attached(kQuery), nullptr);
  EXPECT_TRUE(at::equal(decoder_->logits(batches_[0]), before));
}

TEST_P(DecoderProbeTest, UnitsOfAnInterruptedRunKeepTheirCounts) {
  const auto path = scratch_ / "journal.jsonl";
  const auto work = [&](bool is_first) {
    WorkJournal journal(path, "identity");
    auto with_journal = init({kDown});
    with_journal.journal = &journal;
    DecoderProbe probe(*decoder_, with_journal);
    const auto values = probe.once({.key = "unit", .total = 1}, [&]() -> std::vector<double> {
      EXPECT_TRUE(is_first);
      probe.gradients(0, std::vector<int64_t>{0}, {});
      return {1.0 / 3, 2};
    });
    EXPECT_EQ(values, (std::vector{1.0 / 3, 2.0}));
    EXPECT_EQ(probe.counts(), (PassCounts{1, 0}));
  };

  work(true);
  work(false);
}

}  // namespace
}  // namespace qtk::train
