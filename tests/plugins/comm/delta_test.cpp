// The delta links against the published visits, and what happens to their memory.
#include "link.hpp"

#include <qtk/testing/compressor_contract.hpp>
#include <qtk/testing/config_error.hpp>

#include <gtest/gtest.h>

const std::map<std::string, std::string> kElsewhere = {
    {"max_samples", "Delta.ForgetsTheSampleUsedLongestAgo"}};

QTK_INSTANTIATE_CONTRACT(CompressorContract,
                         {.id = "delta", .tested_elsewhere = kElsewhere, .relative_error = 0.15});
QTK_INSTANTIATE_CONTRACT(CompressorContract, {.id = "delta_lowbits",
                                              .tested_elsewhere = kElsewhere,
                                              .relative_error = 0.15});

namespace qtk {
namespace {

using testing::Link;
using testing::tensor;

const at::Tensor& first() {
  static const at::Tensor x = tensor({1, -0.5, 0.25, 2, 0.5, 0.75, -0.125, -1}, {1, 2, 4});
  return x;
}
const at::Tensor& second() {
  static const at::Tensor x =
      tensor({1.125, -0.5, 0.375, 1.75, 0.5, 0.5, -0.125, -1.25}, {1, 2, 4});
  return x;
}

struct Visit {
  const at::Tensor& x;
  const char* wire;
  std::vector<float> received;
  double error;
};

void expect_visits(Link& link, const std::vector<Visit>& visits) {
  for (const Visit& visit : visits) {
    const at::Tensor y = link.send(visit.x, {2});
    EXPECT_EQ(testing::hex(link.wire), visit.wire);
    EXPECT_TRUE(at::equal(y, tensor(visit.received, {1, 2, 4}))) << y;
    EXPECT_NEAR(testing::mean_square_error(y, visit.x), visit.error, 1e-8);
  }
}

TEST(Delta, GivesThePublishedVisitsAfterAWarmUp) {
  Link link("delta", "{bits: 2, scale_dtype: f16}");
  EXPECT_TRUE(at::equal(link.send(first(), {2}, /*is_warmup=*/true), first()));

  expect_visits(link, {{second(),
                        "ec880030003400300034",
                        {1.0625, -0.5, 0.3125, 1.75, 0.5, 0.5, -0.125, -1.25},
                        0.0009765625},
                       {second(),
                        "eeaa002c0000002c0000",
                        {1.09375, -0.5, 0.34375, 1.75, 0.5, 0.5, -0.125, -1.25},
                        0.000244140625}});
}

TEST(Delta, GivesThePublishedVisitsFromNothing) {
  Link link("delta", "{bits: 2, scale_dtype: f16}");

  expect_visits(link, {{first(),
                        "dff5003c003a00340040",
                        {0.5, -0.375, 0.125, 1, 0.5, 0.375, -0.125, -1},
                        0.177734375},
                       {second(),
                        "cfb9003900300034003a",
                        {0.8125, -0.5, 0.25, 1.375, 0.5, 0.4375, -0.125, -1.375},
                        0.0341796875},
                       {second(),
                        "efbb0035002c00300036",
                        {0.96875, -0.5, 0.3125, 1.5625, 0.5, 0.46875, -0.125, -1.1875},
                        0.00854492188}});
}

TEST(DeltaLowbits, GivesThePublishedVisits) {
  Link link("delta_lowbits", "{bits: 2, cache_bits: 4, scale_dtype: f16}");
  link.send(first(), {2}, /*is_warmup=*/true);

  expect_visits(link, {{second(),
                        "ee880034003100310034",
                        {1, -0.46875, 0.296875, 1.75, 0.5, 0.5, -0.125, -1.25},
                        0.00283813477},
                       {second(),
                        "efbb0034002c602f0033",
                        {1, -0.5, 0.3173828125, 1.640625, 0.5, 0.46875, -0.111328125, -1.203125},
                        0.0042835474}});
}

TEST(DeltaLowbits, RemembersThePublishedBytes) {
  Link link("delta_lowbits", "{bits: 2, cache_bits: 4, scale_dtype: f16}");
  const auto remembered = [](const Compressor& end) {
    testing::MemoryState state;
    end.save(state);
    return testing::hex(state.tensor("kept"));
  };

  link.send(first(), {2}, /*is_warmup=*/true);
  EXPECT_EQ(remembered(*link.sender), "ff3fc4f4003c003a00340040");
  EXPECT_EQ(remembered(*link.receiver), remembered(*link.sender));
  link.send(second(), {2});
  EXPECT_EQ(remembered(*link.sender), "ff0fc5f2003c0038c034003f");
  EXPECT_EQ(remembered(*link.receiver), remembered(*link.sender));
}

TEST(DeltaLowbits, LaysOutTheCacheAsPublished) {
  const at::Tensor x = tensor(
      {1, -0.5, 0.25, 0.75, -1, 0.125, 0.5, -0.25, 0.5, 0.5, -0.25, -0.75, 0.5, -0.125, 0.25, 0.25},
      {1, 2, 8});
  const std::pair<int, const char*> cases[] = {
      {4, "f00ffff0ccf00c0f"}, {2, "f33ccfc3"}, {8, "ff00ffff00ffff00c0ff0000c000c0ff"}};
  for (const auto& [bits, expected] : cases) {
    Link link("delta_lowbits", "{cache_bits: " + std::to_string(bits) + "}");
    link.send(x, {0}, /*is_warmup=*/true);
    testing::MemoryState state;
    link.receiver->save(state);

    const std::string kept = testing::hex(state.tensor("kept"));

    EXPECT_EQ(kept, std::string(expected) + "003c00380034003a003c003000380034");
  }
}

TEST(Delta, ErrorShrinksWithEveryVisitOfAnUnchangedSample) {
  const at::Tensor x = testing::gaussian({2, 16, 8}, 3);
  Link link("delta", "{bits: 3}");
  double last = (link.send(x, {4, 9}) - x).norm().item<double>();
  for (int visit = 0; visit < 4; ++visit) {
    const double error = (link.send(x, {4, 9}) - x).norm().item<double>();
    EXPECT_LT(error, 0.5 * last) << "visit " << visit;
    last = error;
  }
}

TEST(Delta, SamplesAreRememberedApart) {
  const at::Tensor x = testing::gaussian({1, 4, 4}, 3);
  Link link("delta", "{}");
  link.send(x, {1}, /*is_warmup=*/true);

  const at::Tensor known = link.send(x, {1}), unknown = link.send(x, {2});

  EXPECT_LT((known - x).abs().max().item<float>(), 1e-3F);
  EXPECT_GT((unknown - x).abs().max().item<float>(), 1e-2F);
}

TEST(Delta, ForgetsTheSampleUsedLongestAgo) {
  const at::Tensor x = testing::gaussian({1, 4, 4}, 3);
  for (const char* id : {"delta", "delta_lowbits"}) {
    Link link(id, "{max_samples: 2}");
    for (const int64_t sample : {1, 2, 1, 3}) link.send(x, {sample}, /*is_warmup=*/true);
    testing::MemoryState sent, received;
    link.sender->save(sent);
    link.receiver->save(received);

    EXPECT_TRUE(at::equal(sent.tensor("samples"), at::tensor({1, 3}, at::kLong))) << id;
    EXPECT_TRUE(at::equal(received.tensor("samples"), sent.tensor("samples"))) << id;
    EXPECT_TRUE(at::equal(received.tensor("kept"), sent.tensor("kept"))) << id;
  }
}

TEST(Delta, RecoversFromAVisitThatWasNotFinite) {
  for (const char* id : {"delta", "delta_lowbits"}) {
    const at::Tensor x = testing::gaussian({1, 4, 4}, 3);
    Link link(id, "{bits: 6}");
    link.send(x, {1});
    link.send(x / 0.0, {1});

    EXPECT_LT((link.send(x, {1}) - x).abs().max().item<float>(), 0.2F) << id;
  }
}

TEST(Delta, ContinuesFromACheckpointAsIfItHadNotStopped) {
  for (const char* id : {"delta", "delta_lowbits"}) {
    const at::Tensor x = testing::gaussian({1, 4, 4}, 3);
    Link link(id, "{max_samples: 2}"), later(id, "{max_samples: 2}");
    for (const int64_t sample : {4, 2}) link.send(x, {sample});
    testing::MemoryState sent, received;
    link.sender->save(sent);
    link.receiver->save(received);
    later.sender->load(sent);
    later.receiver->load(received);

    for (const int64_t sample : {7, 2, 4}) {  // 7 replaces 4, the sample used longest ago
      const at::Tensor y = link.send(x, {sample});
      EXPECT_TRUE(at::equal(later.send(x, {sample}), y)) << id << " sample " << sample;
      EXPECT_TRUE(at::equal(later.wire, link.wire)) << id << " sample " << sample;
    }
  }
}

TEST(Delta, ACheckpointOfALargerCacheIsRefused) {
  Link large("delta", "{}"), small("delta", "{max_samples: 1}");
  large.send(at::ones({2, 2, 4}));
  testing::MemoryState state;
  large.sender->save(state);

  EXPECT_THROW(small.sender->load(state), DataError);
}

TEST(Delta, RefusesWhatItCannotDo) {
  EXPECT_CONFIG_ERROR("delta", "{max_samples: 0}", "max_samples");
  EXPECT_CONFIG_ERROR("delta_lowbits", "{cache_bits: 3}", "cache_bits");
  Link link("delta", "{}"), lowbits("delta_lowbits", "{cache_bits: 2}");
  EXPECT_THROW(link.send(at::ones({2, 2, 4}), {1}), Error) << "a row without a sample number";
  link.send(at::ones({1, 2, 4}), {1});
  EXPECT_THROW(link.send(at::ones({1, 3, 4}), {1}), Error) << "another length";
  EXPECT_THROW(lowbits.send(at::ones({1, 2, 6}), {1}), Error) << "channels without whole bytes";
}

}  // namespace
}  // namespace qtk
