// Hestia's formulas against the published numbers, differences of the function, and each other: the
// reference in operators and the loops of the CPU.
#include "../../../plugins/quantizers/hestia/hestia_cpu.hpp"
#include "../../../plugins/quantizers/hestia/soft_codebook.hpp"

#include <qtk/testing/plugin_under_test.hpp>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace qtk::hestia {
namespace {

using testing::gaussian;

const std::vector<double> kTernary = {-1, 0, 1}, kBinary = {-1, 1}, kInt2 = {-2, -1, 0, 1};

at::Tensor vector_weight() {
  return at::tensor({0.31, -0.72, 0.05, 1.24, -0.18, 0.66, -1.50, 0.09,  //
                     -0.02, 0.47, -0.88, 0.13, 2.10, -0.35, 0.01, -0.60},
                    at::kDouble)
      .reshape({2, 8});
}

at::Tensor vector_gradient() {
  const at::Tensor i = at::arange(16, at::kDouble);
  return (0.1 * (i + 1) * (1 - 2 * i.remainder(2))).reshape({2, 8});
}

/// [G, N] of group size 0, -1 or g.
at::Tensor grouped(const at::Tensor& w_OI, int64_t group_size) {
  if (group_size == 0) return w_OI.reshape({1, -1});
  return group_size == -1 ? w_OI : w_OI.reshape({-1, group_size});
}

Form form_of(double temperature, Semantics semantics, const std::vector<double>& levels = kTernary,
             double pressure = 1) {
  return {
      .levels = levels, .temperature = temperature, .pressure = pressure, .semantics = semantics};
}

/// Both implementations in both precisions.
void expect_weight(const Form& form, int64_t group_size, const std::vector<double>& expected) {
  const at::Tensor w_GN = grouped(vector_weight(), group_size);
  const at::Tensor target = at::tensor(expected, at::kDouble).reshape(w_GN.sizes());
  const auto error = [&](const at::Tensor& found) {
    return (found.to(at::kDouble) - target).abs().max().item<double>();
  };
  const at::Tensor single = w_GN.to(at::kFloat);
  EXPECT_LT(error(effective_weight_ref(w_GN, form)), 1e-8);
  EXPECT_LT(error(effective_weight_cpu(w_GN, form)), 1e-8);
  EXPECT_LT(error(effective_weight_ref(single, form)), 2e-6);
  EXPECT_LT(error(effective_weight_cpu(single, form)), 2e-6);
}

void expect_gradient(const Form& form, int64_t group_size, const std::vector<double>& expected) {
  const at::Tensor w_GN = grouped(vector_weight(), group_size),
                   g_GN = grouped(vector_gradient(), group_size);
  const at::Tensor target = at::tensor(expected, at::kDouble).reshape(w_GN.sizes());
  const auto error = [&](const at::Tensor& found) {
    return (found.to(at::kDouble) - target).abs().max().item<double>();
  };
  const at::Tensor w = w_GN.to(at::kFloat), g = g_GN.to(at::kFloat);
  EXPECT_LT(error(latent_gradient_ref(g_GN, w_GN, form)), 1e-8);
  EXPECT_LT(error(latent_gradient_cpu(g_GN, w_GN, form)), 1e-8);
  // In fp32 the slope 2 / T of cold forms magnifies the rounding of z.
  const double loose = form.is_hard() || form.temperature > 0.1 ? 2e-6 : 2e-5;
  EXPECT_LT(error(latent_gradient_ref(g, w, form)), loose);
  EXPECT_LT(error(latent_gradient_cpu(g, w, form)), loose);
}

TEST(HestiaFormulas, ScalesAreThePublishedOnes) {
  const auto expect_scales = [](int64_t group_size, const std::vector<double>& expected) {
    const at::Tensor w_GN = grouped(vector_weight(), group_size);
    const at::Tensor target = at::tensor(expected, at::kDouble).reshape({-1, 1});
    for (const auto& scale : {scale_ref(w_GN, Semantics::kV0), scale_cpu(w_GN, Semantics::kV0),
                              scale_ref(w_GN, Semantics::kReleased) - 1e-5,
                              scale_cpu(w_GN, Semantics::kReleased) - 1e-5})
      EXPECT_LT((scale - target).abs().max().item<double>(), 1e-12) << group_size;
  };
  expect_scales(0, {0.581875});
  expect_scales(-1, {0.59375, 0.57});
  expect_scales(4, {0.58, 0.6075, 0.375, 0.765});
  expect_scales(2, {0.515, 0.645, 0.42, 0.795, 0.245, 0.505, 1.225, 0.305});
}

TEST(HestiaFormulas, HardCodesAreThePublishedOnes) {
  const auto expect_codes = [](const std::vector<double>& levels, int64_t group_size,
                               const std::vector<int>& expected) {
    const at::Tensor w_GN = grouped(vector_weight(), group_size);
    const at::Tensor target = at::tensor(expected, at::kInt).reshape(w_GN.sizes()) - levels[0];
    for (const auto semantics : {Semantics::kReleased, Semantics::kV0}) {
      if (semantics == Semantics::kV0 && levels != kTernary) continue;
      const Form form = form_of(0, semantics, levels);
      const at::Tensor scale_G1 = scale_ref(w_GN, semantics);
      EXPECT_TRUE(nearest_code_ref(w_GN / scale_G1, form).eq(target).all().item<bool>());
      EXPECT_TRUE(nearest_code_cpu(w_GN, scale_G1, form).eq(target).all().item<bool>());
    }
  };
  const std::vector<int> coarse = {1, -1, 0, 1, 0, 1, -1, 0, 0, 1, -1, 0, 1, -1, 0, -1};
  auto fine = coarse;
  fine[13] = 0;
  expect_codes(kTernary, 0, coarse);
  expect_codes(kTernary, -1, coarse);
  expect_codes(kTernary, 4, fine);
  expect_codes(kTernary, 2, fine);
  expect_codes(kInt2, 0, {1, -1, 0, 1, 0, 1, -2, 0, 0, 1, -2, 0, 1, -1, 0, -1});
}

TEST(HestiaFormulas, TiesGoToTheLowerCodeAndInV0ToZero) {
  const at::Tensor w_GN = at::tensor({.5, -.5, 1.5, -1.5}, at::kDouble).reshape({1, 4});
  const at::Tensor one = at::ones({1, 1}, at::kDouble);

  const auto released = nearest_code_cpu(w_GN, one, form_of(0, Semantics::kReleased)),
             v0 = nearest_code_cpu(w_GN, one, form_of(0, Semantics::kV0));

  EXPECT_TRUE(
      at::equal(released.to(at::kInt) - 1, at::tensor({0, -1, 1, -1}, at::kInt).reshape({1, 4})));
  EXPECT_TRUE(at::equal(v0.to(at::kInt) - 1, at::tensor({0, 0, 1, -1}, at::kInt).reshape({1, 4})));
  EXPECT_TRUE(at::equal(nearest_code_ref(w_GN, form_of(0, Semantics::kReleased)), released));
  EXPECT_TRUE(at::equal(nearest_code_ref(w_GN, form_of(0, Semantics::kV0)), v0));
  const auto cold = effective_weight_cpu(w_GN, form_of(.01, Semantics::kV0));
  EXPECT_TRUE(at::allclose(cold, at::tensor({.5, -.5, 1., -1.}, at::kDouble), 0, 1e-8));
}

TEST(HestiaFormulas, ZeroAndTinyGroupsStayFinite) {
  const at::Tensor tiny = at::tensor({1e-6, -2e-6, 0., 3e-6}, at::kDouble).reshape({1, 4});
  const auto soft = effective_weight_cpu(tiny, form_of(.5, Semantics::kV0));
  EXPECT_TRUE(at::allclose(
      soft, at::tensor({8.601070526e-7, -1.764930907e-6, 0., 2.741892297e-6}, at::kDouble), 0,
      1e-14));
  EXPECT_EQ(effective_weight_cpu(tiny, form_of(0, Semantics::kV0)).abs().max().item<double>(), 0);
  for (const auto dtype : {at::kFloat, at::kDouble})
    for (const double temperature : {0., 1e-30, 1e-9, .3}) {
      const Form form = form_of(temperature, Semantics::kReleased);
      const at::Tensor zero = at::zeros({2, 4}, dtype), one = at::ones({2, 4}, dtype);
      EXPECT_EQ(effective_weight_cpu(zero, form).abs().max().item<double>(), 0) << temperature;
      EXPECT_TRUE(latent_gradient_cpu(one, zero, form).isfinite().all().item<bool>());
      EXPECT_TRUE(effective_weight_cpu(gaussian({8, 64}, 1).to(dtype) * 1e4, form)
                      .isfinite()
                      .all()
                      .item<bool>());
    }
}

struct Point {
  double z, temperature, mean, slope;
};

// Rows and columns of the published tables of mu and f', T' = T + 1e-6.
const Point kPoints[] = {
    {.1, 2, .054754913, -1},
    {.3, 2, .162871218, .532567253},
    {.5, 2, .266956296, .506415317},
    {.6, 2, .316770406, .489491080},
    {.9, 2, .454724463, -1},
    {1, 2, .496401254, .405378134},
    {1.5, 2, .670265311, .291247725},
    {3, 2, .919744126, -1},
    {0, 2, 0, .548137026},
    {.1, 1, .084623095, -1},
    {.3, 1, .250197191, .806549775},
    {.5, 1, .404931414, .735439421},
    {.6, 1, .476201138, .688907052},
    {.9, 1, .658703219, -1},
    {1, 1, .708186019, .466168439},
    {1.5, 1, .876699488, .224908902},
    {3, 1, .993294950, -1},
    {0, 1, 0, .847765871},
    {.1, .5, .086010705, -1},
    {.3, .5, .274189230, 1.014881292},
    {.5, .5, .486387820, 1.071854985},
    {.6, .5, .590849205, 1.006207168},
    {.9, .5, .830880628, -1},
    {1, .5, .880241086, .424029152},
    {1.5, .5, .982001690, .070745614},
    {3, .5, .999954601, -1},
    {0, .5, 0, .852056809},
    {.1, .350885259, .061299177, -1},
    {.3, .350885259, .232554366, 1.106932235},
    {.5, .350885259, .497494349, 1.443969853},
    {.6, .350885259, .637640188, 1.324768686},
    {.9, .350885259, .907141506, -1},
    {1, .350885259, .945294283, .294877175},
    {1.5, .350885259, .996664629, .018948142},
    {3, .350885259, .999999352, -1},
    {0, .350885259, 0, .591071486},
    {.1, .1, .000329232, -1},
    {.3, .1, .017986804, .353266465},
    {.5, .1, .499999998, 4.999950042},
    {.6, .1, .880794978, 2.099882696},
    {.9, .1, .999664623, -1},
    {1, .1, .999954598, .000907998},
    {1.5, .1, .999999998, .000000041},
    {3, .1, 1, -1},
    {0, .1, 0, .001815996},
    {.1, .01, 0, -1},
    {.3, .01, 0, 0},
    {.5, .01, .5, 49.995000500},
    {.6, .01, .999999998, .000000413},
    {.9, .01, 1, -1},
    {1, .01, 1, 0},
    {1.5, .01, 1, 0},
    {0, .01, 0, 0},
};

TEST(HestiaFormulas, SoftValueAndSlopeAreThePublishedOnes) {
  for (const Point& point : kPoints)
    for (const double sign : {1., -1.}) {
      SCOPED_TRACE("z " + std::to_string(sign * point.z) + " T " +
                   std::to_string(point.temperature));
      const auto value = soft_value_ref(at::full({1}, sign * point.z, at::kDouble),
                                        form_of(point.temperature, Semantics::kV0));

      EXPECT_NEAR(value.mean.item<double>(), sign * point.mean, 1e-9);
      if (point.slope >= 0) {
        EXPECT_NEAR(value.slope.item<double>(), point.slope, 1e-8);
      }
    }
}

TEST(HestiaFormulas, V0WeightsAreThePublishedOnes) {
  const auto v0 = [](double temperature, double pressure = 1) {
    return form_of(temperature, Semantics::kV0, kTernary, pressure);
  };
  expect_weight(v0(2), 0,
                {0.164938689, -0.341039261, 0.027385139, 0.474182373, -0.097663917, 0.319301492,
                 -0.511528715, 0.049205996, -0.010961350, 0.241065853, -0.392094375, 0.070878437,
                 0.556208774, -0.184748966, 0.005481196, -0.296126017});
  expect_weight(v0(1), 0,
                {0.249501331, -0.467466141, 0.042331622, 0.560188142, -0.149962109, 0.445563588,
                 -0.572857550, 0.075968570, -0.016951690, 0.353741120, -0.511729639, 0.109214795,
                 0.580716919, -0.277692005, 0.008477205, -0.420365025});
  expect_weight(v0(.5), 0,
                {0.303327035, -0.552866954, 0.042901505, 0.581022269, -0.165080339, 0.539103830,
                 -0.581732078, 0.078373411, -0.017060472, 0.449114237, -0.571898774, 0.115605618,
                 0.581872688, -0.344680165, 0.008522989, -0.519514586});
  expect_weight(v0(.350885259), 0,
                {0.316890672, -0.573302481, 0.030364135, 0.581821631, -0.141406091, 0.566623693,
                 -0.581870819, 0.057872993, -0.011873492, 0.495933746, -0.580065766, 0.090648145,
                 0.581874988, -0.372184636, 0.005917226, -0.554983825});
  expect_weight(v0(.1), 0,
                {0.382979630, -0.581874771, 0.000142555, 0.581875000, -0.012570404, 0.581873198,
                 -0.581875000, 0.000580835, -0.000039248, 0.580641910, -0.581874999, 0.002294559,
                 0.581875000, -0.514329036, 0.000018520, -0.581860830});
  expect_weight(v0(0), 0,
                {0.581875, -0.581875, 0, 0.581875, 0, 0.581875, -0.581875, 0, 0, 0.581875,
                 -0.581875, 0, 0.581875, -0.581875, 0, -0.581875});
  expect_weight(v0(.5), -1,
                {0.302807725, -0.561232099, 0.042889835, 0.592718399, -0.164704876, 0.546278778,
                 -0.593570769, 0.078309484, -0.017061285, 0.446667042, -0.561367683, 0.115788488,
                 0.569998324, -0.344777092, 0.008523091, -0.513463542});
  expect_weight(v0(.5), 4,
                {0.303405802, -0.551522726, 0.042903413, 0.579173088, -0.164289477, 0.554220148,
                 -0.607269508, 0.078239825, -0.017087548, 0.357408861, -0.374767839, 0.120858177,
                 0.764903732, -0.337101665, 0.008521969, -0.577324186});
  expect_weight(v0(.350885259, .25), 0,
                {0.311722668, -0.683325620, 0.045091034, 1.075455408, -0.170351523, 0.636655923,
                 -1.270467705, 0.081968248, -0.017968373, 0.476483436, -0.805016442, 0.120162036,
                 1.720468747, -0.355546159, 0.008979306, -0.588745956});
  expect_weight(v0(.350885259, .5), 0,
                {0.313445336, -0.646651240, 0.040182067, 0.910910816, -0.160703046, 0.613311846,
                 -1.040935410, 0.073936497, -0.015936746, 0.482966873, -0.730032883, 0.110324072,
                 1.340937494, -0.361092318, 0.007958613, -0.577491913});
  expect_weight(v0(0, .5), 0,
                {0.4459375, -0.6509375, 0.025, 0.9109375, -0.09, 0.6209375, -1.0409375, 0.045,
                 -0.01, 0.5259375, -0.7309375, 0.065, 1.3409375, -0.4659375, 0.005, -0.5909375});
}

TEST(HestiaFormulas, SquaredErrorsAreThePublishedOnes) {
  const std::vector<std::pair<double, double>> errors = {{2, .290639706},  {1, .245725796},
                                                         {.5, .232954187}, {.350885259, .231802530},
                                                         {.1, .237191758}, {0, .243485791}};
  const at::Tensor w_GN = grouped(vector_weight(), 0);
  for (const auto& [temperature, expected] : errors) {
    const auto error = effective_weight_cpu(w_GN, form_of(temperature, Semantics::kV0)) - w_GN;
    EXPECT_NEAR(error.square().mean().item<double>(), expected, 1e-8) << temperature;
  }
}

TEST(HestiaFormulas, ReleasedWeightsAreThePublishedOnes) {
  const auto released = [](double temperature, const std::vector<double>& levels = kTernary) {
    return form_of(temperature, Semantics::kReleased, levels);
  };
  expect_weight(released(.3), 0,
                {0.322167271, -0.577650487, 0.023172807, 0.581873970, -0.124971771, 0.573524323,
                 -0.581884439, 0.045659794, -0.008941735, 0.515585263, -0.581203690, 0.074916581,
                 0.581884999, -0.385569826, 0.004447537, -0.565491373});
  expect_weight(released(.3), -1,
                {0.318243198, -0.588670661, 0.023134154, 0.593745046, -0.123265561, 0.583859009,
                 -0.593759193, 0.045433180, -0.008944355, 0.511246820, -0.569468914, 0.075637174,
                 0.570010000, -0.388216826, 0.004447865, -0.556041289});
  expect_weight(released(.3), 4,
                {0.322779808, -0.575899416, 0.023179129, 0.579999499, -0.121400608, 0.595566130,
                 -0.607508791, 0.045187235, -0.009029386, 0.372554328, -0.375008311, 0.097990715,
                 0.765009758, -0.327636570, 0.004444261, -0.665037246});
  expect_weight(released(.1), 4,
                {0.386199199, -0.580009789, 0.000142926, 0.580010000, -0.010158659, 0.607505101,
                 -0.607510000, 0.000531915, -0.000043603, 0.375009893, -0.375010000, 0.016686239,
                 0.765010000, -0.229102377, 0.000018366, -0.762423172});
  expect_weight(released(.3, kBinary), 0,
                {0.580928766, -0.581884920, 0.301096335, 0.581885000, -0.563364988, 0.581884685,
                 -0.581885000, 0.450589505, -0.131047754, 0.581860527, -0.581884998, 0.525568158,
                 0.581885000, -0.581502421, 0.066376494, -0.581883755});
  expect_weight(released(.3, kInt2), 0,
                {0.322167271, -0.663815629, 0.023172243, 0.581873970, -0.125052725, 0.573524323,
                 -1.163329572, 0.045659570, -0.008944491, 0.515585263, -0.884277935, 0.074916494,
                 0.581884999, -0.386859076, 0.004446134, -0.589972684});
}

TEST(HestiaFormulas, V0GradientsAreThePublishedOnes) {
  const auto v0 = [](double temperature, double pressure = 1) {
    return form_of(temperature, Semantics::kV0, kTernary, pressure);
  };
  expect_gradient(v0(.5), 0,
                  {0.082520566, -0.014711057, 0.237684455, -0.025600624, 0.534005040, -0.187214930,
                   0.023946738, -0.748556872, 0.792716870, -0.737329738, 0.097451613, -1.170939339,
                   -0.023238501, -1.383356418, 1.255915106, -0.592117468});
  expect_gradient(v0(.05), 0,
                  {0.659189425, 0.009990786, -0.009990016, -0.009990786, 0.019732692, -0.009990786,
                   0.009990786, -0.010022872, 0.009991099, -0.010171202, 0.009990786, -0.010743367,
                   -0.009990786, -0.923392805, -0.009990478, 0.009990748});
  expect_gradient(v0(0), 0,
                  {0.15, -0.25, 0.35, -0.35, 0.45, -0.55, 0.65, -0.75, 0.85, -0.95, 1.05, -1.15,
                   1.35, -1.45, 1.55, -1.65});
  expect_gradient(v0(.5), -1,
                  {-0.055268080, 0.120080447, 0.099150359, -0.164362246, 0.670155843, -0.338735813,
                   0.162431980, -0.885285503, 0.650749388, -0.567975217, -0.053154006, -1.033189024,
                   0.118832937, -1.507426595, 1.398037715, -0.693187920});
  expect_gradient(v0(0), -1,
                  {-0.075, -0.025, 0.125, -0.575, 0.675, -0.775, 0.875, -0.975, 0.625, -0.725,
                   0.825, -0.925, 1.575, -1.675, 1.775, -1.875});
  expect_gradient(v0(.5), 4,
                  {0.041855364, 0.026405443, 0.197147477, -0.066107826, 0.760205254, -0.446864698,
                   0.255163339, -0.976052085, 1.216365899, -0.622444654, 0.445993600, -1.697780117,
                   0.372569571, -1.882527154, 1.650630801, -1.575053205});
  expect_gradient(v0(0), 4,
                  {0.075, -0.175, 0.275, -0.425, 0.825, -0.925, 1.025, -1.125, 1.425, -1.525, 1.625,
                   -1.725, 2.025, -2.125, 2.225, -2.325});
  expect_gradient(v0(.5, .5), 0,
                  {0.091260283, -0.107355528, 0.268842227, -0.212800312, 0.517002520, -0.393607465,
                   0.361973369, -0.774278436, 0.846358435, -0.868664869, 0.598725807, -1.185469669,
                   0.638380750, -1.391678209, 1.377957553, -1.096058734});
}

TEST(HestiaFormulas, ReleasedGradientsAreThePublishedOnes) {
  expect_gradient(form_of(.3, Semantics::kReleased), 4,
                  {0.165134764, -0.009382659, 0.150865121, -0.000048280, 0.559139841, -0.077099365,
                   0.000009287, -0.494982021, 0.419822854, -0.043370086, 0.000033024, -1.585699239,
                   0.000002740, -2.303290030, 0.667988371, -1.212308305});
  expect_gradient(form_of(.3, Semantics::kReleased, kTernary, .5), 4,
                  {0.132567382, -0.104691329, 0.225432561, -0.200024140, 0.529569921, -0.338549683,
                   0.350004644, -0.647491011, 0.659911427, -0.521685043, 0.550016512, -1.392849620,
                   0.650001370, -1.851645015, 1.083994186, -1.406154152});
  expect_gradient(form_of(0, Semantics::kReleased), 4,
                  {.1, -.2, .3, -.4, .5, -.6, .7, -.8, .9, -1., 1.1, -1.2, 1.3, -1.4, 1.5, -1.6});
}

/// sum g W(w), its scales held at those of `frozen` in the released semantics.
double objective(const at::Tensor& w_GN, const at::Tensor& frozen, const at::Tensor& g_GN,
                 const Form& form) {
  if (form.semantics == Semantics::kV0)
    return (effective_weight_ref(w_GN, form) * g_GN).sum().item<double>();
  const at::Tensor scale_G1 = scale_ref(frozen, form.semantics);
  const at::Tensor value = soft_value_ref(w_GN / scale_G1, form).mean * scale_G1;
  return ((w_GN + form.pressure * (value - w_GN)) * g_GN).sum().item<double>();
}

TEST(HestiaFormulas, GradientsAreTheDifferencesOfTheFunction) {
  constexpr double kStep = 1e-6;
  for (const auto semantics : {Semantics::kReleased, Semantics::kV0})
    for (const auto& levels : {kTernary, kBinary, kInt2, std::vector<double>{-1.3, 0.2, 0.9}})
      for (const int64_t group : {0, -1, 4})
        for (const double pressure : {1., .4}) {
          const Form form = form_of(.35, semantics, levels, pressure);
          const at::Tensor w_GN = grouped(vector_weight(), group),
                           g_GN = grouped(vector_gradient(), group);
          const at::Tensor gradient = latent_gradient_cpu(g_GN, w_GN, form);
          for (int64_t i = 0; i < 16; ++i) {
            const at::Tensor up = w_GN.clone(), down = w_GN.clone();
            up.view({-1})[i] += kStep, down.view({-1})[i] -= kStep;
            const double slope =
                (objective(up, w_GN, g_GN, form) - objective(down, w_GN, g_GN, form)) / (2 * kStep);
            EXPECT_NEAR(gradient.view({-1})[i].item<double>(), slope, 1e-7)
                << "group " << group << " weight " << i;
          }
        }
}

TEST(HestiaFormulas, LoopsAgreeWithTheReferenceOnEveryShape) {
  for (const auto semantics : {Semantics::kReleased, Semantics::kV0})
    for (const auto& levels : {kTernary, kBinary, kInt2, std::vector<double>{-1.3, 0.2, 0.9}})
      for (const double temperature : {0., .02, .3, 2.})
        for (const auto& [groups, size] :
             {std::pair<int64_t, int64_t>{1, 20011}, {7, 1}, {33, 65}, {12, 300}, {3, 9000}}) {
          if (semantics == Semantics::kV0 && levels != kTernary) continue;
          const Form form = form_of(temperature, semantics, levels, .7);
          const at::Tensor w_GN = gaussian({groups, size}, 1) * .05,
                           g_GN = gaussian({groups, size}, 2);
          SCOPED_TRACE("T " + std::to_string(temperature) + " size " + std::to_string(size));

          const auto weight = effective_weight_cpu(w_GN, form) - effective_weight_ref(w_GN, form);
          const auto gradient =
              latent_gradient_cpu(g_GN, w_GN, form) - latent_gradient_ref(g_GN, w_GN, form);

          // A weight on a threshold may fall on either side, so a rare one may differ. The slope
          // changes by up to 1 / T^2 per unit of z.
          const double tolerance =
              temperature > 0 ? 4e-6 / std::min(1., temperature * temperature) : 2e-6;
          EXPECT_LT((weight.abs() > 2e-6).to(at::kFloat).mean().item<double>(), 1e-3);
          EXPECT_LT((gradient.abs() > tolerance).to(at::kFloat).mean().item<double>(), 1e-3);
        }
}

}  // namespace
}  // namespace qtk::hestia
