#include "format/compressed_tensors.hpp"

#include "format_fixtures.hpp"

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

namespace qtk::format {
namespace {

struct GoldenCase {
  std::string name;
  CompressedScheme scheme;
};

std::vector<GoldenCase> golden_cases() {
  std::vector<GoldenCase> cases;
  for (const int bits : {2, 3, 4, 8})
    for (const bool is_symmetric : {true, false})
      for (const int64_t group_size : {16, -1})
        cases.push_back({"w" + std::to_string(bits) + (is_symmetric ? "_sym_" : "_asym_") +
                             (group_size > 0 ? std::to_string(group_size) : "channel"),
                         {bits, group_size, is_symmetric}});
  return cases;
}

/// Grids packed and unpacked by the Python package.
class CompressedGolden : public ::testing::Test {
 protected:
  at::Tensor tensor(const GoldenCase& c, const std::string& name) const {
    return file_.tensor(c.name + "." + name);
  }

  UniformGrid grid(const GoldenCase& c) const {
    const auto codes = tensor(c, "codes").to(at::kInt);
    return {.bits = c.scheme.bits,
            .is_signed = true,
            .group_size = c.scheme.group_size < 0 ? codes.size(1) : c.scheme.group_size,
            .codes = codes,
            .scales = tensor(c, "weight_scale"),
            .zeros = tensor(c, "zeros").to(at::kInt)};
  }

  TensorMap packed(const GoldenCase& c) const {
    TensorMap tensors;
    for (const std::string name :
         {"weight_packed", "weight_scale", "weight_shape", "weight_zero_point"})
      if (file_.has(c.name + "." + name)) tensors.emplace(name, tensor(c, name));
    return tensors;
  }

  const SafetensorsFile file_ = SafetensorsFile::open(golden("compressed.safetensors"));
};

at::Tensor weight_of(const UniformGrid& grid) {
  const int64_t groups = grid.scales.size(1);
  const auto spread = [&](const at::Tensor& x) {
    return x.repeat_interleave(grid.codes.size(1) / groups, 1);
  };
  return (grid.codes - spread(grid.zeros)).to(at::kFloat) * spread(grid.scales);
}

/// The same grid with unsigned codes.
UniformGrid as_unsigned(UniformGrid grid) {
  grid.is_signed = false;
  grid.codes = grid.codes + (1 << (grid.bits - 1));
  grid.zeros = grid.zeros + (1 << (grid.bits - 1));
  return grid;
}

TEST_F(CompressedGolden, PackingGivesTheSameTensors) {
  for (const GoldenCase& c : golden_cases())
    for (const bool is_signed : {true, false}) {
      SCOPED_TRACE(c.name + (is_signed ? " signed" : " unsigned"));
      const auto source = is_signed ? grid(c) : as_unsigned(grid(c));

      const auto tensors = pack_quantized(source, c.name);

      const auto expected = packed(c);
      ASSERT_EQ(tensors.size(), expected.size());
      for (const auto& [name, tensor] : expected) expect_same_bits(tensors.at(name), tensor, name);
      EXPECT_EQ(compressed_scheme(source), c.scheme);
    }
}

TEST_F(CompressedGolden, UnpackingGivesTheSameWeightsAndCodes) {
  for (const GoldenCase& c : golden_cases()) {
    const auto back = unpack_quantized(c.scheme, packed(c), c.name);

    const auto expected = c.scheme.is_symmetric ? grid(c) : as_unsigned(grid(c));
    EXPECT_EQ(back.is_signed, c.scheme.is_symmetric) << c.name;
    EXPECT_EQ(back.group_size, expected.group_size) << c.name;
    expect_same_bits(back.codes, expected.codes, c.name);
    expect_same_bits(back.zeros, expected.zeros, c.name);
    expect_same_bits(weight_of(back), tensor(c, "weight"), c.name);
  }
}

UniformGrid random_grid(int bits, int64_t out, int64_t in, int64_t group_size) {
  const std::vector<int64_t> groups{out, in / group_size};
  return {.bits = bits,
          .is_signed = false,
          .group_size = group_size,
          .codes = at::randint(1 << bits, {out, in}, at::kInt),
          .scales = at::rand(groups) + 0.01,
          .zeros = at::randint(1 << bits, groups, at::kInt)};
}

TEST(PackQuantized, RoundTripsEveryWidthAndShape) {
  for (int bits = 1; bits <= 8; ++bits)
    for (const auto& [out, in, group_size] : std::vector<std::array<int64_t, 3>>{
             {1, 1, 1}, {3, 33, 11}, {17, 64, 32}, {70, 31, 31}, {2, 100, 50}}) {
      SCOPED_TRACE(std::to_string(bits) + " bits, " + std::to_string(out) + " x " +
                   std::to_string(in));
      const auto grid = random_grid(bits, out, in, group_size);

      const auto tensors = pack_quantized(grid, "site");
      const auto back = unpack_quantized(compressed_scheme(grid), tensors, "site");

      EXPECT_EQ(tensors.at("weight_packed").size(1), (in * bits + 31) / 32);
      expect_same_bits(weight_of(back), weight_of(grid), "weight");
    }
}

TEST(PackQuantized, WritesScalesInTheDtypeAskedFor) {
  const auto grid = random_grid(4, 4, 32, 16);

  const auto scales = pack_quantized(grid, "site", at::kBFloat16).at("weight_scale");

  expect_same_bits(scales, grid.scales.to(at::kBFloat16), "scales");
}

TEST(PackQuantized, RefusesGridsTheFormatCannotHold) {
  const auto fault = [](const UniformGrid& grid) {
    return message_of<ConfigError>([&] { pack_quantized(grid, "layer.0"); });
  };
  auto grid = random_grid(4, 4, 32, 16);
  grid.zeros = grid.zeros.clone();

  grid.zeros[1][1] = 16;
  expect_contains(fault(grid), "layer.0 has zero points outside the range of its codes");
  grid.zeros[1][1] = -1;
  expect_contains(fault(grid), "layer.0 has zero points outside the range of its codes");
  grid.bits = 9;
  expect_contains(fault(grid), "layer.0 has codes of 9 bits");
  auto ragged = random_grid(4, 4, 32, 16);
  ragged.group_size = 24;
  expect_contains(fault(ragged), "layer.0 has 32 columns in groups of 24");
}

TEST(PackQuantized, RefusesCodesAndShapesThatBreakTheContract) {
  const auto fault = [](const UniformGrid& grid) {
    return message_of<Error>([&] { pack_quantized(grid, "layer.0"); });
  };

  auto grid = random_grid(3, 4, 32, 16);
  grid.codes[2][5] = 8;
  expect_contains(fault(grid), "layer.0: a code needs more than 3 bits");
  grid = random_grid(3, 4, 32, 16);
  grid.scales = at::ones({4, 3});
  expect_contains(fault(grid), "layer.0: scales [4, 3] and zeros [4, 2] should be [4, 2]");
  grid = random_grid(3, 4, 32, 16);
  grid.codes = grid.codes.to(at::kByte);
  expect_contains(fault(grid), "codes should be int32");
}

TEST(UnpackQuantized, NamesTensorsThatAreMissingOrWrong) {
  const auto grid = random_grid(3, 8, 64, 32);
  const auto scheme = compressed_scheme(grid);
  const auto whole = pack_quantized(grid, "s");
  const auto fault = [&](const char* name, const at::Tensor& replacement) {
    auto tensors = whole;
    if (replacement.defined())
      tensors[name] = replacement;
    else
      tensors.erase(name);
    return message_of([&] { unpack_quantized(scheme, tensors, "layer.0"); });
  };

  expect_contains(fault("weight_packed", {}), "layer.0.weight_packed is missing");
  expect_contains(fault("weight_scale", {}), "layer.0.weight_scale is missing");
  expect_contains(fault("weight_shape", {}), "layer.0.weight_shape is missing");
  expect_contains(fault("weight_zero_point", {}), "layer.0.weight_zero_point is missing");
  // 7 words a row is how older releases packed 3 bits: 10 codes a word
  expect_contains(fault("weight_packed", at::zeros({8, 7}, at::kInt)),
                  "layer.0.weight_packed has the shape [8, 7], expected [8, 6]");
  expect_contains(fault("weight_packed", at::zeros({8, 6}, at::kLong)),
                  "weight_packed is Long, expected int32");
  expect_contains(fault("weight_scale", at::zeros({8, 3})),
                  "weight_scale has the shape [8, 3], expected [8, 2]");
  expect_contains(fault("weight_zero_point", at::zeros({8, 2}, at::kInt)),
                  "has the shape [8, 2], expected [1, 2]");
  expect_contains(fault("weight_shape", at::tensor({8, 63}, at::kLong)),
                  "has 63 columns, which groups of 32 do not");
  expect_contains(fault("weight_shape", at::tensor({-8, 64}, at::kLong)),
                  "weight_shape is [-8, 64], expected two pos");
  expect_contains(fault("weight_shape", at::tensor({int64_t{1} << 62, int64_t{64}}, at::kLong)),
                  "two positive sizes");
  expect_contains(fault("weight_shape", at::tensor({8}, at::kLong)),
                  "weight_shape has the shape [1], expected [2]");
}

TEST(CompressedTensorsConfig, IsTheOneThePackageAccepts) {
  const CompressedScheme w4{.bits = 4, .group_size = 128, .is_symmetric = true};
  const CompressedScheme w8{.bits = 8, .group_size = -1, .is_symmetric = false};
  const std::vector<CompressedSite> sites = {{"model.layers.0.self_attn.q_proj", w4},
                                             {"model.layers.0.mlp.down_proj", w8},
                                             {"model.layers.0.mlp.up_proj", w4}};

  const auto config = compressed_tensors_config(sites, std::vector<std::string>{"lm_head"});

  EXPECT_EQ(config, nlohmann::json::parse(read_bytes(golden("compressed_config.json"))));
}

TEST(CompressedTensorsConfig, TargetsAllLinearsWhereOneSchemeServes) {
  const CompressedScheme scheme{.bits = 4, .group_size = 32, .is_symmetric = false};
  const std::vector<CompressedSite> sites = {{"a", scheme}, {"b", scheme}};

  const auto config = compressed_tensors_config(sites, {});

  EXPECT_EQ(config["config_groups"].size(), 1u);
  EXPECT_EQ(config["config_groups"]["group_0"]["targets"], nlohmann::json::array({"Linear"}));
  EXPECT_EQ(config["config_groups"]["group_0"]["weights"]["symmetric"], false);
  EXPECT_TRUE(config["ignore"].empty());
}

}  // namespace
}  // namespace qtk::format
