#include "trace/hutchpp.hpp"

#include "softmax_regression.hpp"

#include <qtk/testing/estimator_contract.hpp>

#include <functional>

QTK_INSTANTIATE_CONTRACT(EstimatorContract,
                         {.id = "hutchpp",
                          .options = "{num_sketch: 3, num_query: 6}",
                          .tested_elsewhere = {{"vectors_at_once", "VectorsAtOnceChangeNothing"}},
                          .matters_with = {{"hvp_step", "{hvp: differences}"}}});

namespace qtk {
namespace {

using testing::make;
using testing::QuadraticProbe;
using testing::random_quadratic;
using testing::reals;
using testing::SoftmaxRegression;
using trace::Estimate;
using trace::MeanMatrix;

const at::Tensor& matrix() {
  static const at::Tensor h = reals({4,  1, .5, 0,  .2, 1, 3,   0,  .3, .1, .5,  0,  2,
                                     .4, 0, 0,  .3, .4, 1, .05, .2, .1, 0,  .05, -.5})
                                  .view({5, 5});
  return h;
}
at::Tensor sketch_rows() { return reals({1, 1, -1, 1, -1, 1, -1, 1, 1, 1}).view({2, 5}); }
at::Tensor query_rows() {
  return reals({1, -1, -1, 1, 1, -1, -1, 1, 1, -1, 1, 1, 1, -1, 1}).view({3, 5});
}

MeanMatrix mean_of(const at::Tensor& h, int64_t at_once = 1) {
  return {.dimension = h.size(0), .vectors_at_once = at_once, .open = [h](int64_t) {
            return [h](const at::Tensor& v_KD) { return at::mm(v_KD, h); };
          }};
}
trace::Probes fixed(const at::Tensor& rows) {
  return [rows](int64_t, int64_t first, int64_t count) {
    return rows.narrow(0, first, count).clone();
  };
}

TEST(HutchppMath, FixedProbesGiveThePublishedTrace) {
  for (const int64_t at_once : {1, 2, 8}) {
    const Estimate both = trace::hutchpp(mean_of(matrix(), at_once), fixed(sketch_rows()),
                                         fixed(query_rows()), {2, 3, 0});
    const Estimate plain =
        trace::hutchpp(mean_of(matrix(), at_once), {}, fixed(query_rows()), {0, 3, 0});

    EXPECT_NEAR(both.value, 9.875505671, 1e-8);
    EXPECT_NEAR(plain.value, 9.4, 1e-12);
  }
}

TEST(HutchppMath, TheSketchsProductsAndBasisAreThePublishedOnes) {
  auto y = at::mm(sketch_rows(), matrix());
  EXPECT_TRUE(at::allclose(
      y, reals({4.3, 4.2, -1.1, .85, .85, 3.7, -1.6, 2.9, 1.15, -.35}).view({2, 5}), 1e-12, 1e-12));

  trace::orthonormalize_rows(y);

  const auto expected = reals({.690456874, .674399737, -.176628503, .136485661, .136485661,
                               .592420309, -.465097981, .618454069, .200903572, -.099369842})
                            .view({2, 5});
  for (int64_t r = 0; r < 2; ++r) {
    const auto sign = (y[r] * expected[r]).sum().sign();  // rows are unique up to it
    EXPECT_LT((y[r] * sign - expected[r]).abs().max().item<double>(), 1e-8);
  }
  EXPECT_NEAR(at::mul(y, at::mm(y, matrix())).sum().item<double>(), 6.941864122, 1e-8);
}

TEST(HutchppMath, DependentRowsBecomeZeroAndTheOthersOrthonormal) {
  for (const auto dtype : {at::kFloat, at::kDouble}) {
    auto y = testing::gaussian({4, 50}, /*seed=*/3).to(dtype);
    y[2].copy_(2 * y[0] - 3 * y[1]);

    trace::orthonormalize_rows(y);

    auto identity = at::eye(4, y.options());
    identity[2][2] = 0;
    EXPECT_LT((at::mm(y, y.t()) - identity).abs().max().item<double>(),
              dtype == at::kFloat ? 1e-6 : 1e-13);
  }
}

TEST(HutchppMath, IsExactWhereTheRankIsAtMostTheSketch) {
  const auto a = testing::gaussian({3, 40}, /*seed=*/5).to(at::kDouble);
  const auto h = at::mm(a.t() * reals({2, -1, .5}), a);
  RandomStream random({.seed = 1, .purpose = "test"});
  const trace::Probes probes = [&](int64_t, int64_t, int64_t count) {
    auto signs = at::empty({count, 40}, at::kDouble);
    random.fill_rademacher(signs);
    return signs;
  };

  const Estimate found = trace::hutchpp(mean_of(h), probes, probes, {5, 4, 0});

  EXPECT_NEAR(found.value, h.trace().item<double>(), 1e-9);
  EXPECT_LT(found.standard_error, 1e-9);
}

TEST(HutchppMath, ASketchOfAllDimensionsNeedsNoQueries) {
  int64_t asked = 0;
  const trace::Probes none = [&](int64_t, int64_t, int64_t) {
    ++asked;
    return at::Tensor();
  };

  const Estimate found =
      trace::hutchpp(mean_of(matrix()), fixed(at::eye(5, at::kDouble)), none, {7, 4, 0});

  EXPECT_NEAR(found.value, 9.5, 1e-12);
  EXPECT_EQ(asked, 0);
}

TEST(HutchppMath, ErrorsOfBatchesAddUp) {
  std::vector<trace::Moments> batches(2);
  for (const double sample : {1.0, 3.0}) batches[0].add(sample);   // mean 2, variance 2
  for (const double sample : {4.0, 10.0}) batches[1].add(sample);  // mean 7, variance 18

  const double fixed_parts[] = {10, 20};
  const Estimate found = trace::mean_of_batches(batches, fixed_parts);

  EXPECT_DOUBLE_EQ(found.value, (12 + 27) / 2.0);
  EXPECT_DOUBLE_EQ(found.standard_error, std::sqrt(2 / 2.0 + 18 / 2.0) / 2);
  EXPECT_DOUBLE_EQ(found.sampling_error, 15 / 2.0);
}

TEST(Hutchpp, ValuesLieWithinTheirStandardErrorsOfTheTrace) {
  QuadraticProbe probe(random_quadratic());

  const auto table =
      make<Estimator>("hutchpp", "{num_sketch: 4, num_query: 1500}")->estimate(probe);

  for (int64_t site = 0; site < 4; ++site) {
    const auto& entry = table.entries[static_cast<size_t>(site)];
    EXPECT_LT(std::abs(entry.value - probe.trace(site)), 4 * entry.standard_error) << entry.site;
    EXPECT_LT(entry.standard_error, 0.02 * entry.value) << entry.site;
  }
}

TEST(Hutchpp, ASketchAsLargeAsTheTensorIsExact) {
  QuadraticProbe probe(random_quadratic());

  const auto table = make<Estimator>("hutchpp", "{num_sketch: 24}")->estimate(probe);

  for (int64_t site = 0; site < 4; ++site)
    EXPECT_NEAR(table.entries[static_cast<size_t>(site)].value, probe.trace(site), 1e-9);
}

TEST(Hutchpp, StopsAtTheWantedErrorAndSaysWhereItWasMissed) {
  QuadraticProbe probe(random_quadratic()), never(random_quadratic());

  const auto table =
      make<Estimator>("hutchpp", "{num_sketch: 2, num_query: 100000, target_error: 0.05}")
          ->estimate(probe);
  const auto missed =
      make<Estimator>("hutchpp", "{num_sketch: 2, num_query: 4, target_error: 1e-6}")
          ->estimate(never);

  EXPECT_LT(probe.products, 2000);
  for (const auto& entry : table.entries) {
    EXPECT_LE(entry.standard_error, 0.05 * entry.value);
    EXPECT_EQ(entry.flags, std::vector<std::string>{});
  }
  for (const auto& entry : missed.entries)
    EXPECT_EQ(entry.flags, std::vector<std::string>{"target_error_missed"});
}

TEST(Hutchpp, ASiteDoesNotSeeWhichOthersAreMeasured) {
  const auto loss = random_quadratic();
  auto alone = loss;
  alone.sites = {loss.sites[0]};
  alone.weights = loss.weights.slice(0, 0, 20);
  for (auto& hessian : alone.hessians) hessian = hessian.slice(0, 0, 20).slice(1, 0, 20);
  for (auto& gradient : alone.gradients) gradient = gradient.slice(1, 0, 20);
  QuadraticProbe of_four(loss), of_one(alone);

  const auto expected = make<Estimator>("hutchpp")->estimate(of_four).entries[0],
             found = make<Estimator>("hutchpp")->estimate(of_one).entries[0];

  EXPECT_NEAR(found.value, expected.value, 1e-9);
  EXPECT_NEAR(found.standard_error, expected.standard_error, 1e-9);
}

TEST(Hutchpp, VectorsAtOnceChangeNothing) {
  QuadraticProbe one(random_quadratic()), four(random_quadratic());

  const auto expected = make<Estimator>("hutchpp", "{num_sketch: 5}")->estimate(one);
  const auto found =
      make<Estimator>("hutchpp", "{num_sketch: 5, vectors_at_once: 4}")->estimate(four);

  for (size_t i = 0; i < 4; ++i)
    EXPECT_NEAR(found.entries[i].value, expected.entries[i].value, 1e-9);
}

TEST(Hutchpp, FindsTheTraceOfASoftmaxClassifierExactlyFromAFullSketch) {
  SoftmaxRegression probe(testing::four_classes(), {1});

  const auto entry = make<Estimator>("hutchpp", "{num_sketch: 12}")->estimate(probe).entries.at(0);

  EXPECT_NEAR(entry.value, 3.540529155, 1e-8);
}

TEST(Hutchpp, TheClassifiersProductsAreThePublishedOnes) {
  SoftmaxRegression probe(testing::four_classes(), {1});
  const int64_t site[] = {0};
  const at::Tensor v[] = {reals({1, -1, 1, 1, 1, -1, -1, 1, 1, 1, -1, -1}).view({1, 4, 3})};

  const auto hv = probe.hessian(0, site, {})(v).front();

  const auto expected =
      reals({.934854842, -1.869709684, .467427421, -.404203726, .808407451, -.202101863,
             -.723524326, 1.447048652, -.361762163, .192873209, -.385746419, .096436605})
          .view({1, 4, 3});
  EXPECT_LT((hv - expected).abs().max().item<double>(), 1e-8);
  EXPECT_NEAR(at::mul(hv, v[0]).sum().item<double>(), 6.169291375, 1e-8);
}

}  // namespace
}  // namespace qtk
