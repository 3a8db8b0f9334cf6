// Uncompressed and fixed-point messages against the published vectors.
#include "generated.hpp"
#include "link.hpp"

#include <qtk/testing/compressor_contract.hpp>
#include <qtk/testing/config_error.hpp>

#include <gtest/gtest.h>
#include <original_stream/original_fixpoint.hpp>

#include <limits>

QTK_INSTANTIATE_CONTRACT(CompressorContract, {.id = "none", .relative_error = 0});
QTK_INSTANTIATE_CONTRACT(CompressorContract,
                         {.id = "none", .options = "{dtype: bf16}", .relative_error = 0.003});
QTK_INSTANTIATE_CONTRACT(CompressorContract, {.id = "fixpoint", .relative_error = 0.01});
QTK_INSTANTIATE_CONTRACT(CompressorContract, {.id = "fixpoint",
                                              .options = "{bits: 4, scale_dtype: f16}",
                                              .relative_error = 0.15});
QTK_INSTANTIATE_CONTRACT(CompressorContract,
                         {.id = "fixpoint",
                          .options = "{bits: 6, scale_method: l2, scale_per: token}",
                          .relative_error = 0.2});

namespace qtk {
namespace {

using testing::Link;
using testing::tensor;

at::Tensor published() {
  return tensor({0.5, -1, 0.25, 0, -0.125, 0.75, -0.3125, 0, 0.375, 0.25, 0.125, 0}, {1, 3, 4});
}

std::string f16(const std::string& more) { return "{scale_dtype: f16, " + more + "}"; }

TEST(Fixpoint, GivesThePublishedMessages) {
  const struct {
    int bits;
    const char* payload;
    double error;
  } cases[] = {{2, "ceb2ee", 0.0190429688},
               {3, "e3c7c4f740", 0.00140380859},
               {4, "f0e86e08eab8", 0.000350952148},
               {6, "fc0ea0638020e28b60", 2.19345093e-05},
               {8, "ff00e68060e00080e0a0b380", 1.37090683e-06}};
  for (const auto& expected : cases) {
    Link link("fixpoint", f16("bits: " + std::to_string(expected.bits)));

    const at::Tensor y = link.send(published());

    EXPECT_EQ(testing::hex(link.wire), std::string(expected.payload) + "0038003c00350000");
    EXPECT_NEAR(testing::mean_square_error(y, published()), expected.error, 1e-8 * expected.bits);
  }
}

TEST(Fixpoint, DecodesThePublishedValues) {
  Link link("fixpoint", f16("bits: 4"));

  const at::Tensor y = link.send(published());

  EXPECT_TRUE(at::equal(
      y, tensor({0.4375, -1, 0.234375, 0, -0.125, 0.75, -0.3125, 0, 0.375, 0.25, 0.1171875, 0},
                {1, 3, 4})));
}

TEST(Fixpoint, L2GivesThePublishedMessageAndValues) {
  Link link("fixpoint", f16("bits: 4, scale_method: l2"));

  const at::Tensor y = link.send(published());

  EXPECT_EQ(testing::hex(link.wire.narrow(0, 0, 6)), "d3c87c38c9a8");
  EXPECT_TRUE(at::allclose(y,
                           tensor({0.4598999, -0.9197998, 0.2420654, 0, -0.09197998, 0.7358398,
                                   -0.3025818, 0, 0.3679199, 0.18396, 0.1210327, 0},
                                  {1, 3, 4}),
                           0, 1e-7));
}

TEST(FixpointReference, ShrinksSmallTensorsAsTheOriginal) {
  const struct {
    float size, scale;
    std::vector<uint8_t> codes;
    float ratio;
  } cases[] = {{1, 1, {255, 0, 192, 64}, 0.992188F},
               {1e-3F, 0.00100040436F, {255, 0, 192, 64}, 0.992589F},
               {1e-4F, 0.000100016594F, {255, 1, 191, 65}, 0.992352F},
               {1e-5F, 1.00135803e-05F, {244, 12, 186, 70}, 0.907481F},
               {3e-6F, 2.98023224e-06F, {224, 32, 176, 80}, 0.745058F},
               {1e-6F, 1.01327896e-06F, {191, 65, 160, 96}, 0.498723F},
               {1e-7F, 1.1920929e-07F, {139, 117, 134, 122}, 0.102445F},
               {2e-8F, 0, {131, 125, 129, 127}, 0}};
  for (const auto& expected : cases) {
    const float a = expected.size;

    const auto message = original::fixpoint(tensor({a, -a, a / 2, -a / 2}, {1, 4, 1}), 8);

    EXPECT_EQ(message.codes, expected.codes) << a;
    EXPECT_NEAR(message.scales[0], expected.scale, 1e-8F * expected.scale) << a;
    EXPECT_NEAR(message.decoded.view(-1)[0].item<float>() / a, expected.ratio, 1e-6F) << a;
  }
}

TEST(Fixpoint, GivesTheMessageOfTheReference) {
  const at::Tensor x = testing::gaussian({2, 7, 33}, 4) * 100;  // 1e-6 is lost beside the scale
  for (int bits = 1; bits <= 8; ++bits) {
    const auto message = original::fixpoint(x, bits);
    Link link("fixpoint", f16("bits: " + std::to_string(bits)));

    const at::Tensor y = link.send(x);

    const auto payload = static_cast<int64_t>(message.payload.size());
    EXPECT_EQ(testing::hex(link.wire.narrow(0, 0, payload)), testing::hex(message.payload));
    EXPECT_TRUE(at::equal(link.wire.slice(0, payload).clone().view(at::kHalf).to(at::kFloat),
                          at::tensor(message.scales)));
    EXPECT_TRUE(at::equal(y, message.decoded));
  }
}

TEST(Fixpoint, GivesThePublishedMessageOfABucketedGradient) {
  const at::Tensor gradient = testing::generated(7, 32, /*has_outliers=*/false).view({1, 8, 4});
  Link link("fixpoint", f16("bits: 4"));

  const at::Tensor y = link.send(gradient);

  EXPECT_EQ(testing::hex(link.wire.narrow(0, 0, 16)), "3faf0e610ff979add78e681ce63f1771");
  EXPECT_TRUE(at::equal(link.wire.slice(0, 16).clone().view(at::kHalf).to(at::kFloat),
                        at::tensor({1.8125F, 1.921875F, 1.890625F, 1.921875F})));
  EXPECT_NEAR(testing::mean_square_error(y, gradient), 0.0101317167, 1e-9);
}

/// What arrives of `value` plus the error that was left over last time.
at::Tensor send_with_feedback(Link& link, const at::Tensor& value, at::Tensor& error) {
  const at::Tensor sum = value + error.to(at::kFloat);
  const at::Tensor received = link.send(sum.view({1, 8, 2})).view(-1);
  error = (sum - received).to(at::kHalf);
  return received;
}

TEST(Fixpoint, AveragesWithErrorFeedbackAsPublished) {
  // Two workers, a chunk of 16 for each to serve: [chunk][worker].
  const at::Tensor a = testing::generated(7, 32, false), b = testing::generated(8, 32, false);
  Link link("fixpoint", f16("bits: 4"));
  const at::Tensor none = at::zeros({16}, at::kHalf);
  std::vector<std::vector<at::Tensor>> worker_errors = {{none, none}, {none, none}};
  std::vector<at::Tensor> server_errors = {none, none};
  const std::pair<double, uint32_t> published[] = {{0.0155437835, 0x8c23f4d3},
                                                   {0.012413092, 0xebd30e98}};
  for (const auto& [error, crc] : published) {
    std::vector<at::Tensor> averages;
    for (size_t chunk = 0; chunk < 2; ++chunk) {
      const auto part = [&](const at::Tensor& all) {
        return all.narrow(0, 16 * static_cast<int64_t>(chunk), 16);
      };
      const at::Tensor mean = (send_with_feedback(link, part(a), worker_errors[chunk][0]) +
                               send_with_feedback(link, part(b), worker_errors[chunk][1])) /
                              2;
      averages.push_back(send_with_feedback(link, mean, server_errors[chunk]));
    }
    const at::Tensor result = at::cat(averages).contiguous();

    EXPECT_NEAR(testing::mean_square_error(result, (a + b) / 2), error, 1e-8);
    EXPECT_EQ(testing::crc32({static_cast<const uint8_t*>(result.const_data_ptr()), 128}), crc);
  }
}

TEST(Fixpoint, SmallTensorsDoNotShrink) {
  for (const float a : {1.F, 1e-3F, 1e-4F, 1e-5F, 3e-6F, 1e-6F, 1e-7F, 2e-8F, 1e-30F}) {
    Link link("fixpoint", "{bits: 8}");
    const at::Tensor x = tensor({a, -a, a / 2, -a / 2}, {1, 4, 1});

    const at::Tensor ratio = link.send(x) / x;

    EXPECT_LE((ratio - 1).abs().max().item<float>(), 1.0F / 128 + 1e-6F) << a;
  }
}

TEST(Fixpoint, ErrorIsBelowAStepOfTheScale) {
  const at::Tensor x = testing::gaussian({3, 10, 24}, 5);
  for (int bits = 1; bits <= 8; ++bits) {
    Link link("fixpoint", "{bits: " + std::to_string(bits) + "}");

    const at::Tensor y = link.send(x);

    const at::Tensor step = x.abs().amax({0, 1}, true) / (1 << (bits - 1));
    EXPECT_TRUE(((y - x).abs() <= step * 1.00001).all().item<bool>()) << bits << " bits";
    const at::Tensor inner = x < step * ((1 << (bits - 1)) - 1);  // not clipped at the positive end
    EXPECT_TRUE(((y - x).abs() <= step * 0.50001).masked_select(inner).all().item<bool>())
        << bits << " bits";
  }
}

TEST(Fixpoint, ScalesAreSharedAsAsked) {
  const at::Tensor x = tensor({1, 10, 2, 20, 3, 30, 4, 40}, {2, 2, 2});
  const std::pair<const char*, at::Tensor> cases[] = {
      {"channel", tensor({4, 40}, {1, 1, 2})},
      {"sample_channel", tensor({2, 20, 4, 40}, {2, 1, 2})},
      {"token", tensor({10, 20, 30, 40}, {2, 2, 1})},
      {"tensor", tensor({40}, {1, 1, 1})}};
  for (const auto& [per, scales] : cases) {
    Link link("fixpoint", "{bits: 8, scale_per: " + std::string(per) + "}");

    link.send(x);

    ASSERT_EQ(link.wire.numel(), 8 + 4 * scales.numel()) << per;
    const at::Tensor sent = link.wire.slice(0, 8).clone().view(at::kFloat);
    EXPECT_TRUE(at::equal(sent, scales.view(-1))) << per;
  }
}

TEST(Fixpoint, StaysFiniteAtTheEndsOfEveryRange) {
  constexpr float kLargest = std::numeric_limits<float>::max();
  const at::Tensor x = tensor({kLargest, -kLargest, 1e5F, -7e4F, 1e-45F, 0, -3e-39F, 2}, {1, 4, 2});
  for (const char* dtype : {"f32", "bf16", "f16"})
    for (const char* method : {"max", "l2"})
      for (const auto input : {at::kFloat, at::kBFloat16, at::kHalf}) {
        Link link("fixpoint",
                  "{scale_dtype: " + std::string(dtype) + ", scale_method: " + method + "}");
        const at::Tensor finite = x.to(at::kDouble).clamp(-65504, 65504).to(input);
        EXPECT_TRUE(link.send(finite).isfinite().all().item<bool>());
        if (input == at::kFloat) {
          EXPECT_TRUE(link.send(x).isfinite().all().item<bool>());
        }
      }
}

TEST(Fixpoint, WarmUpIsExact) {
  Link link("fixpoint", "{bits: 2}");
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const at::Tensor x = testing::gaussian({2, 3, 5}, 1).to(dtype);

    EXPECT_TRUE(at::equal(link.send(x, {}, /*is_warmup=*/true), x));
  }
}

TEST(Fixpoint, SizeIsThatOfThePublishedTable) {
  const auto compressor = [](int bits) {
    return testing::make<Compressor>("fixpoint", f16("bits: " + std::to_string(bits)));
  };
  const TensorSpec spec{{1, 1024, 1600}, at::kFloat};

  EXPECT_EQ(compressor(4)->wire_bytes(spec), 822400);
  EXPECT_EQ(compressor(6)->wire_bytes(spec), 1232000);
  EXPECT_EQ(compressor(8)->wire_bytes(spec), 1641600);
}

TEST(Fixpoint, RefusesWhatItCannotDo) {
  EXPECT_CONFIG_ERROR("fixpoint", "{bits: 9}", "bits");
  EXPECT_CONFIG_ERROR("fixpoint", "{scale_per: row}", "scale_per");
  Link link("fixpoint", "{}");
  const at::Tensor x = at::zeros({2, 3, 4});
  at::Tensor wire = at::zeros({5}, at::kByte);
  EXPECT_THROW(link.sender->encode(x, wire, {.spec = {{2, 3, 4}, at::kFloat}}), Error);
  EXPECT_THROW(link.receiver->decode(wire, {.spec = {{2, 3, 4}, at::kFloat}}), Error);
  EXPECT_THROW(link.sender->wire_bytes({{2, 3}, at::kFloat}), Error);
}

TEST(None, NarrowTypesSaturate) {
  Link link("none", "{dtype: f16}");

  const at::Tensor y = link.send(tensor({1e6F, -1e6F, 0.5F, 3}, {1, 2, 2}));

  EXPECT_TRUE(at::equal(y, tensor({65504, -65504, 0.5F, 3}, {1, 2, 2})));
  EXPECT_EQ(link.wire.numel(), 8);
}

}  // namespace
}  // namespace qtk
