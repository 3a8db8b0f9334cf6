// What holds for every compressor, over many shapes, types and options.
#include "link.hpp"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

namespace qtk {
namespace {

using testing::Link;

struct Choice {
  const char* id;
  const char* options;
  float error;  // largest |decoded - x| / largest |x|
};

const Choice kChoices[] = {{"none", "{}", 0},
                           {"none", "{dtype: f16}", 0.001F},
                           {"fixpoint", "{bits: 3}", 0.26F},
                           {"fixpoint", "{bits: 8, scale_per: token, scale_dtype: bf16}", 0.02F},
                           {"fixpoint", "{bits: 5, scale_per: sample_channel}", 0.07F},
                           {"delta", "{bits: 7}", 0.03F},
                           {"delta", "{bits: 5, scale_per: tensor, scale_dtype: f16}", 0.07F},
                           {"delta_lowbits", "{bits: 4, cache_bits: 2}", 0.13F},
                           {"delta_lowbits", "{bits: 6, cache_bits: 8}", 0.04F},
                           {"tah", "{tile_size: 4}", 0.5F},
                           {"tah", "{tile_size: 8, allocation: token, metadata_dtype: f16}", 0.5F},
                           {"tah",
                            "{tile_size: 4, allocation: range, codes_for: exact, "
                            "high_precision_bits: 7, low_precision_bits: 5}",
                            0.2F}};

TEST(Compressors, WriteExactlyTheirMessageForEveryShape) {
  constexpr int64_t kGuard = 16;
  int64_t seed = 0;
  for (const Choice& choice : kChoices)
    for (const int64_t batch : {1, 2, 3})
      for (const int64_t sequence : {1, 2, 5, 7})
        for (const int64_t channels : {8, 24, 40}) {
          SCOPED_TRACE(::testing::Message() << choice.id << " " << choice.options << " [" << batch
                                            << ", " << sequence << ", " << channels << "]");
          const at::Tensor x = testing::gaussian({batch, sequence, channels}, ++seed);
          Link link(choice.id, choice.options);
          const std::vector<int64_t> samples = {3, 1, 4};
          const MessageInfo info{.spec = {x.sizes().vec(), at::kFloat},
                                 .samples = std::span(samples).first(static_cast<size_t>(batch))};
          const int64_t bytes = link.sender->wire_bytes(info.spec);
          const at::Tensor memory = at::full({bytes + 2 * kGuard}, 0x5a, at::kByte);
          at::Tensor wire = memory.narrow(0, kGuard, bytes);

          link.sender->encode(x, wire, info);
          const at::Tensor y = link.receiver->decode(wire, info);

          EXPECT_TRUE((memory.narrow(0, 0, kGuard) == 0x5a).all().item<bool>());
          EXPECT_TRUE((memory.narrow(0, kGuard + bytes, kGuard) == 0x5a).all().item<bool>());
          EXPECT_LE((y - x).abs().max().item<float>(), choice.error * x.abs().max().item<float>());
        }
}

TEST(Compressors, GiveTheSameBytesWithAnyNumberOfThreads) {
  const at::Tensor x = testing::gaussian({2, 96, 512}, 9);
  const int threads = at::get_num_threads();
  for (const Choice& choice : kChoices) {
    Link one(choice.id, choice.options), several(choice.id, choice.options);
    at::set_num_threads(1);
    const at::Tensor y = one.send(x);
    at::set_num_threads(4);

    const at::Tensor z = several.send(x);

    EXPECT_TRUE(at::equal(one.wire, several.wire)) << choice.id << " " << choice.options;
    EXPECT_TRUE(at::equal(y, z)) << choice.id << " " << choice.options;
  }
  at::set_num_threads(threads);
}

TEST(Compressors, StayFiniteAtTheEndsOfEveryType) {
  for (const Choice& choice : kChoices)
    for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
      SCOPED_TRACE(::testing::Message() << choice.id << " " << choice.options << " " << dtype);
      const at::Tensor sign = testing::gaussian({2, 3, 8}, 6).sign().to(dtype);
      const double largest = dtype == at::kFloat      ? std::numeric_limits<float>::max()
                             : dtype == at::kBFloat16 ? 3.38e38
                                                      : 65504;
      Link link(choice.id, choice.options);
      for (const double size : {largest, largest, 1e-45, 1.0})
        EXPECT_TRUE(link.send(sign.mul(size)).isfinite().all().item<bool>()) << size;
    }
}

TEST(Compressors, ShowThatTheInputWasNotFinite) {
  for (const Choice& choice : kChoices)
    for (const float fault : {NAN, INFINITY, -INFINITY}) {
      at::Tensor x = testing::gaussian({1, 4, 8}, 2);
      x[0][2][5] = fault;
      Link link(choice.id, choice.options);

      EXPECT_FALSE(link.send(x)[0][2][5].isfinite().item<bool>())
          << choice.id << " " << choice.options << " " << fault;
    }
}

TEST(Compressors, RememberTheSameAtBothEndsWhateverTheType) {
  for (const char* id : {"delta", "delta_lowbits"})
    for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
      Link link(id, "{bits: 3}");
      for (uint64_t visit = 0; visit < 4; ++visit)
        link.send(testing::gaussian({2, 6, 8}, visit).to(dtype), {5, 8}, /*is_warmup=*/visit == 0);
      testing::MemoryState sent, received;
      link.sender->save(sent);
      link.receiver->save(received);

      EXPECT_TRUE(at::equal(sent.tensor("kept"), received.tensor("kept"))) << id << " " << dtype;
    }
}

TEST(Compressors, RefuseABufferOfAnotherSize) {
  for (const Choice& choice : kChoices) {
    Link link(choice.id, choice.options);
    const std::vector<int64_t> samples = {0};
    const MessageInfo info{.spec = {{1, 4, 8}, at::kFloat}, .samples = samples};
    const int64_t bytes = link.sender->wire_bytes(info.spec);
    at::Tensor wire = at::zeros({bytes + 1}, at::kByte);

    EXPECT_THROW(link.sender->encode(at::ones({1, 4, 8}), wire, info), Error) << choice.id;
    EXPECT_THROW(link.receiver->decode(wire, info), Error) << choice.id;
    wire.resize_({bytes});
    EXPECT_THROW(link.sender->encode(at::ones({1, 5, 8}), wire, info), Error) << choice.id;
  }
}

}  // namespace
}  // namespace qtk
