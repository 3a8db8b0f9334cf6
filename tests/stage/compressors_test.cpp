#include "stage/compressors.hpp"

#include "config/yaml_source.hpp"
#include "plugin/run_context.hpp"

#include <qtk/runtime/error.hpp>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace qtk::stage {
namespace {

CompressorNode node(const std::string& use, const std::string& options = "{}",
                    const std::string& path = "comm.forward") {
  config::Diagnostics diagnostics;
  CompressorNode node;
  node.use = use;
  node.options = config::parse_yaml(options, {.file = "test.yaml"}, diagnostics).value();
  node.path = path;
  diagnostics.throw_if_any();
  return node;
}

std::vector<config::Problem> problems(const config::CommSection& section) {
  config::Diagnostics diagnostics;
  check_compressors(section, diagnostics);
  return diagnostics.errors();
}

config::CommSection forward_of(CompressorNode node) {
  config::CommSection section;
  section.forward = std::move(node);
  return section;
}

config::CommSection data_of(const std::string& use) {
  config::CommSection section;
  section.data = node(use, "{}", "comm.data");
  return section;
}

TEST(CompressorsTest, AnUnknownPluginIsReportedAtItsPlace) {
  const auto found = problems(forward_of(node("fixpiont")));

  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].path, "comm.forward.use");
  EXPECT_NE(found[0].message.find("fixpiont"), std::string::npos) << found[0].message;
  EXPECT_NE(to_string(found[0]).find("did you mean 'fixpoint'?"), std::string::npos)
      << to_string(found[0]);
}

TEST(CompressorsTest, ABadOptionIsReportedAtItsPlace) {
  const auto outside = problems(forward_of(node("fixpoint", "{bits: 9}")));
  ASSERT_EQ(outside.size(), 1u);
  EXPECT_EQ(outside[0].path, "comm.forward.options.bits");
  EXPECT_NE(outside[0].message.find("compressor `fixpoint` = 9 is outside [1, 8]"),
            std::string::npos)
      << outside[0].message;

  const auto unknown = problems(forward_of(node("fixpoint", "{bitz: 8}")));
  ASSERT_EQ(unknown.size(), 1u);
  EXPECT_EQ(unknown[0].path, "comm.forward.options.bitz");
}

TEST(CompressorsTest, LinksMayRememberSamplesButReplicasMayNot) {
  config::CommSection links;
  links.forward = node("delta");
  links.backward = node("delta_lowbits", "{}", "comm.backward");
  EXPECT_TRUE(problems(links).empty());
  EXPECT_TRUE(problems(data_of("fixpoint")).empty());
  EXPECT_TRUE(problems(data_of("tah")).empty());

  for (const char* use : {"delta", "delta_lowbits"}) {
    const auto found = problems(data_of(use));
    ASSERT_EQ(found.size(), 1u) << use;
    EXPECT_EQ(found[0].path, "comm.data.use");
    EXPECT_EQ(found[0].message, "compressor `" + std::string(use) +
                                    "` remembers samples, and gradients of replicas belong to "
                                    "none");
  }
}

TEST(CompressorsTest, TheTextOfANodeHasItsDefaults) {
  EXPECT_EQ(compressor_text(std::nullopt), "uncompressed");
  EXPECT_EQ(compressor_text(node("none")), "none {dtype: same}");
  EXPECT_EQ(compressor_text(node("fixpoint", "{scale_per: token, bits: 6}")),
            "fixpoint {bits: 6, scale_method: max, scale_per: token, scale_dtype: f32}");
  EXPECT_EQ(compressor_text(node("fixpoint", "{bits: 6, scale_per: token, scale_method: max}")),
            compressor_text(node("fixpoint", "{scale_per: token, bits: 6}")));
}

TEST(CompressorsTest, WithoutANodeTheTensorIsSentAsItIs) {
  plugin::CoreRunContext context{plugin::RunContextInit{}};
  const LinkCompressor link(std::nullopt, context);
  const std::vector<int64_t> samples = {0, 1};
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const at::Tensor x = at::sin(at::arange(24, at::kFloat)).view({2, 4, 3}).to(dtype);
    const at::Tensor strided = x.transpose(1, 2);
    for (const at::Tensor& sent : {x, strided}) {
      const MessageInfo info{.spec = {sent.sizes().vec(), dtype}, .samples = samples};
      ASSERT_EQ(link.get().wire_bytes(info.spec), static_cast<int64_t>(x.nbytes()));
      at::Tensor wire = at::empty({link.get().wire_bytes(info.spec)}, at::kByte);
      link.get().encode(sent, wire, info);

      const at::Tensor received = link.get().decode(wire, info);

      EXPECT_TRUE(at::equal(received, sent));
      EXPECT_EQ(received.scalar_type(), dtype);
    }
  }
}

TEST(CompressorsTest, ANodeNamesAPluginWithItsOptions) {
  plugin::CoreRunContext context{plugin::RunContextInit{}};
  const LinkCompressor link(node("none", "{dtype: bf16}"), context);

  EXPECT_EQ(link.get().wire_bytes({.shape = {2, 3, 4}, .dtype = at::kFloat}), 48);
  EXPECT_THROW(LinkCompressor(node("fixpoint", "{bits: 9}"), context), ConfigError);
  EXPECT_THROW(LinkCompressor(node("nowhere"), context), PluginError);
}

}  // namespace
}  // namespace qtk::stage
