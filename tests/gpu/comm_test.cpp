// Compressors on a GPU against the same on the CPU: messages, decoded values, memories.
#include "base/device.hpp"
#include "poisoned_memory.hpp"

#include <qtk/plugin.hpp>
#include <qtk/testing/memory_state.hpp>
#include <qtk/testing/plugin_under_test.hpp>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#ifdef QTK_HAS_CUDA
#include "cuda_graph.hpp"
#endif

namespace qtk {
namespace {

using testing::PoisonedMemory;

constexpr at::ScalarType kTypes[] = {at::kFloat, at::kBFloat16, at::kHalf};

/// Numbers as activations have them: channels of different size, and outliers.
at::Tensor activation(at::IntArrayRef shape, uint64_t seed) {
  const at::Tensor x = testing::gaussian({shape[0], shape[1], shape[2]}, seed),
                   channel = testing::gaussian({1, 1, shape[2]}, seed + 1).exp(),
                   outlier = testing::gaussian({shape[0], shape[1], shape[2]}, seed + 2) > 2.5;
  return at::where(outlier, 12 * x, x) * channel;
}

struct Case {
  std::string id, options;

  std::string name() const { return id + " " + options; }
  std::shared_ptr<Compressor> fresh() const { return testing::make<Compressor>(id, options); }
};

std::vector<int64_t> samples_of(const at::Tensor& x) {
  std::vector<int64_t> samples(static_cast<size_t>(x.size(0)));
  std::iota(samples.begin(), samples.end(), 40);
  return samples;
}

/// The message of x, on its device, in the middle of a buffer whose rest must stay as it was.
at::Tensor encode(Compressor& sender, const at::Tensor& x, bool is_warmup = false) {
  constexpr int64_t kGuard = 64;
  const std::vector<int64_t> samples = samples_of(x);
  const MessageInfo info{
      .spec = {x.sizes().vec(), x.scalar_type()}, .samples = samples, .is_warmup = is_warmup};
  const int64_t bytes = is_warmup ? static_cast<int64_t>(x.nbytes()) : sender.wire_bytes(info.spec);
  const at::Tensor memory = at::full({bytes + 2 * kGuard}, 0xa5, x.options().dtype(at::kByte));
  at::Tensor wire = memory.narrow(0, kGuard, bytes);
  sender.encode(x, wire, info);
  EXPECT_TRUE((memory.narrow(0, 0, kGuard) == 0xa5).all().item<bool>());
  EXPECT_TRUE((memory.narrow(0, kGuard + bytes, kGuard) == 0xa5).all().item<bool>());
  return wire.clone();
}

at::Tensor decode(Compressor& receiver, const at::Tensor& wire, const at::Tensor& like,
                  bool is_warmup = false) {
  const std::vector<int64_t> samples = samples_of(like);
  return receiver.decode(wire, {.spec = {like.sizes().vec(), like.scalar_type()},
                                .samples = samples,
                                .is_warmup = is_warmup});
}

/// Equal bits, NaN beside NaN.
bool same(const at::Tensor& a, const at::Tensor& b) {
  return a.sizes() == b.sizes() && a.scalar_type() == b.scalar_type() &&
         at::logical_or(a == b, a.isnan().logical_and(b.isnan())).all().item<bool>();
}

std::vector<Case> fixed_cases() {
  std::vector<Case> cases = {{"none", "{}"},
                             {"none", "{dtype: f32}"},
                             {"none", "{dtype: bf16}"},
                             {"none", "{dtype: f16}"}};
  for (int bits = 1; bits <= 8; ++bits)
    cases.push_back({"fixpoint", "{bits: " + std::to_string(bits) + "}"});
  for (const char* scale_per : {"channel", "sample_channel", "token", "tensor"})
    for (const char* dtype : {"f32", "bf16", "f16"})
      for (const char* method : {"max", "l2"})
        cases.push_back({"fixpoint", std::string("{bits: 6, scale_per: ") + scale_per +
                                         ", scale_dtype: " + dtype + ", scale_method: " + method +
                                         "}"});
  for (const char* id : {"delta", "delta_lowbits"})
    for (const char* options : {"{bits: 3}", "{bits: 5, scale_per: token, scale_dtype: f16}"})
      cases.push_back({id, options});
  return cases;
}

std::vector<Case> tah_cases(int64_t tile) {
  std::vector<Case> cases;
  const std::string begin = "{tile_size: " + std::to_string(tile);
  for (const char* allocation : {"tile", "token", "range"})
    for (const char* rest :
         {"", ", threshold: 0", ", threshold: -1, metadata_dtype: f16",
          ", codes_for: exact, metadata_dtype: f16", ", high_precision_ratio: 0",
          ", high_precision_ratio: 1, high_precision_bits: 8",
          ", high_precision_bits: 8, low_precision_bits: 1, high_precision_ratio: 0.37",
          ", high_precision_bits: 6, low_precision_bits: 5, high_precision_ratio: 0.5"})
      cases.push_back({"tah", begin + ", allocation: " + allocation + rest + "}"});
  cases.push_back({"tah", begin + ", high_precision_bits: 7, low_precision_bits: 2}"});
  cases.push_back({"tah", begin + ", high_precision_bits: 2, low_precision_bits: 1}"});
  return cases;
}

std::vector<Case> cases_of(int64_t channels) {
  std::vector<Case> cases = fixed_cases();
  for (const int64_t tile : {8, 16, 32, 64, 128, 256})
    if (channels % tile == 0)
      for (Case& each : tah_cases(tile)) cases.push_back(std::move(each));
  return cases;
}

bool is_ranked_by_entropy(const Case& c) {
  return c.id == "tah" && c.options.find("allocation: range") == std::string::npos;
}

/// Largest distance in nats, in f64, between the two entropies on either side of a quota of low
/// precision, over the rows in which `differs`. Rows: units that are ranked with each other.
double widest_gap(const Case& c, const at::Tensor& x, const at::Tensor& differs) {
  const auto number = [&](const std::string& key, double otherwise) {
    const auto at = c.options.find(key + ": ");
    return at == std::string::npos ? otherwise : std::stod(c.options.substr(at + key.size() + 2));
  };
  const bool is_token = c.options.find("allocation: token") != std::string::npos;
  const auto tile = static_cast<int64_t>(number("tile_size", 64));
  const std::vector<int64_t> shape =
      is_token ? std::vector<int64_t>{x.size(0), x.size(1), x.size(2)}
               : std::vector<int64_t>{x.size(0) * x.size(1), x.size(2) / tile, tile};
  const double ratio = number("high_precision_ratio", 0.8);
  const int64_t low =
      shape[1] - static_cast<int64_t>(std::ceil(ratio * static_cast<double>(shape[1]) - 1e-9));
  if (low == 0 || low == shape[1]) return std::numeric_limits<double>::infinity();
  const at::Tensor p = x.to(at::kDouble).abs().reshape(shape);
  const at::Tensor sum = p.sum(-1, /*keepdim=*/true);
  const at::Tensor entropy = std::get<0>(at::xlogy(p / sum, p / sum).sum(-1).neg().sort(-1));
  const at::Tensor gap = entropy.select(1, low) - entropy.select(1, low - 1);
  const at::Tensor rows = differs.reshape({shape[0], -1}).any(-1);
  return at::where(rows, gap, at::zeros_like(gap)).max().item<double>();
}

struct Agreement {
  int messages = 0, equal = 0;
};

void expect_agreement(const Case& c, const at::Tensor& x, at::Device device, Agreement& seen) {
  const auto host = c.fresh(), host_receiver = c.fresh(), sender = c.fresh(), receiver = c.fresh();
  const at::Tensor expected = encode(*host, x);

  const at::Tensor found = encode(*sender, x.to(device));

  ++seen.messages;
  const bool is_equal = at::equal(found.cpu(), expected);
  seen.equal += is_equal;
  const at::Tensor y = decode(*receiver, found, x).cpu(),
                   z = decode(*host_receiver, found.cpu(), x);
  EXPECT_TRUE(same(y, z)) << "decoded values of the same message differ";
  if (is_equal) return;
  ASSERT_TRUE(is_ranked_by_entropy(c))
      << "messages differ in " << (found.cpu() != expected).sum().item<int64_t>() << " of "
      << expected.numel() << " bytes";
  const at::Tensor from_host = decode(*c.fresh(), expected, x);
  EXPECT_LT(widest_gap(c, x, y != from_host), 2e-6) << "entropies on either side of the quota";
}

TEST(CommOnGpu, MessagesAndValuesAreThoseOfTheCpu) {
  if (!cuda_is_available()) GTEST_SKIP() << "no CUDA device answers";
  const auto device = open_device("cuda");
  const PoisonedMemory poisoned;
  const std::vector<std::vector<int64_t>> shapes = {
      {1, 1, 8},     {1, 5, 24},    {2, 7, 40},    {3, 5, 20},    {3, 33, 576}, {2, 9, 768},
      {1, 21, 1600}, {2, 17, 2048}, {1, 1030, 64}, {1, 2100, 48}, {1, 3, 8192}};
  uint64_t seed = 100;
  Agreement ranked, others;
  for (const auto& shape : shapes)
    for (const Case& c : cases_of(shape[2])) {
      if (c.id == "delta_lowbits" && shape[2] % 8 != 0) continue;
      for (const auto type : kTypes) {
        SCOPED_TRACE(::testing::Message()
                     << c.name() << " " << at::IntArrayRef(shape) << " " << type);
        expect_agreement(c, activation(shape, seed += 3).to(type), device,
                         is_ranked_by_entropy(c) ? ranked : others);
        if (HasFatalFailure()) return;
      }
    }
  EXPECT_EQ(others.equal, others.messages);
  EXPECT_GT(ranked.equal, ranked.messages * 9 / 10) << "of " << ranked.messages;
  RecordProperty("ranked_messages", ranked.messages);
  RecordProperty("ranked_messages_equal", ranked.equal);
}

TEST(CommOnGpu, WideTokensAreTakenInSeveralPasses) {
  if (!cuda_is_available()) GTEST_SKIP() << "no CUDA device answers";
  const auto device = open_device("cuda");
  Agreement seen;
  for (const char* allocation : {"token", "range"})
    for (const int64_t tile : {16, 64, 256})
      expect_agreement({"tah", "{tile_size: " + std::to_string(tile) +
                                   ", high_precision_bits: 8, allocation: " + allocation + "}"},
                       activation({1, 11, 16384}, 7).to(at::kBFloat16), device, seen);
  EXPECT_GE(seen.equal, seen.messages - 1);
}

/// Finite at the other end, and the same as on the CPU.
void expect_finite(const Case& c, const at::Tensor& values, at::Device device) {
  const auto sender = c.fresh(), receiver = c.fresh(), host = c.fresh();

  const at::Tensor wire = encode(*sender, values.to(device));
  const at::Tensor y = decode(*receiver, wire, values).cpu();

  EXPECT_TRUE(y.isfinite().all().item<bool>());
  EXPECT_TRUE(same(y, decode(*host, wire.cpu(), values)));
  if (!is_ranked_by_entropy(c)) {
    EXPECT_TRUE(at::equal(wire.cpu(), encode(*c.fresh(), values)));
  }
}

TEST(CommOnGpu, FiniteValuesStayFinite) {
  if (!cuda_is_available()) GTEST_SKIP() << "no CUDA device answers";
  const auto device = open_device("cuda");
  const PoisonedMemory poisoned;
  for (const int64_t channels : {512, 1088}) {
    const at::Tensor x = activation({2, 9, channels}, 5), sign = x.sign();
    for (const Case& c : cases_of(channels))
      for (const auto type : kTypes) {
        const double largest = type == at::kFloat      ? std::numeric_limits<float>::max()
                               : type == at::kBFloat16 ? 3.3895e38
                                                       : 65504;
        const std::vector<at::Tensor> inputs = {
            sign * largest, sign * 1e-45,      sign * 0.0,           x * 1e-39,
            x * 3e-7,       at::zeros_like(x), at::full_like(x, -3), at::where(x > 3, largest, x)};
        for (size_t i = 0; i < inputs.size(); ++i) {
          SCOPED_TRACE(::testing::Message()
                       << c.name() << " " << channels << " " << type << " input " << i);
          const at::Tensor values = inputs[i].to(type);
          if (values.isfinite().all().item<bool>()) expect_finite(c, values, device);
        }
      }
  }
}

TEST(CommOnGpu, ShowThatTheInputWasNotFinite) {
  if (!cuda_is_available()) GTEST_SKIP() << "no CUDA device answers";
  const auto device = open_device("cuda");
  for (const Case& c : cases_of(256))
    for (const float fault : {NAN, INFINITY, -INFINITY})
      for (const auto type : kTypes) {
        at::Tensor x = activation({1, 10, 256}, 2);
        x[0][6][77] = fault;
        const auto sender = c.fresh(), receiver = c.fresh();
        const at::Tensor values = x.to(device, type);

        const at::Tensor y = decode(*receiver, encode(*sender, values), values);

        EXPECT_FALSE(y[0][6][77].isfinite().item<bool>()) << c.name() << " " << fault;
      }
}

TEST(CommOnGpu, EqualInputsGiveEqualBytes) {
  if (!cuda_is_available()) GTEST_SKIP() << "no CUDA device answers";
  const auto device = open_device("cuda");
  const at::Tensor x = activation({2, 300, 1600}, 8).to(device, at::kBFloat16);
  for (const Case& c : cases_of(1600)) {
    const at::Tensor first = encode(*c.fresh(), x);
    for (int repeat = 0; repeat < 3; ++repeat)
      EXPECT_TRUE(at::equal(first, encode(*c.fresh(), x))) << c.name();
  }
}

TEST(CommOnGpu, TensorsMayBeViews) {
  if (!cuda_is_available()) GTEST_SKIP() << "no CUDA device answers";
  const auto device = open_device("cuda");
  const at::Tensor memory = activation({1, 12, 513}, 4).to(device, at::kBFloat16).view(-1);
  const at::Tensor odd = memory.narrow(0, 3, 12 * 512).view({1, 12, 512}),
                   turned = odd.transpose(1, 2).contiguous().transpose(1, 2);
  for (const Case& c : cases_of(512)) {
    const at::Tensor expected = encode(*c.fresh(), odd.clone());

    EXPECT_TRUE(at::equal(encode(*c.fresh(), odd), expected)) << c.name();
    EXPECT_TRUE(at::equal(encode(*c.fresh(), turned), expected)) << c.name();
  }
}

TEST(CommOnGpu, MemoriesOfBothEndsAndOfTheCpuAreEqual) {
  if (!cuda_is_available()) GTEST_SKIP() << "no CUDA device answers";
  const auto device = open_device("cuda");
  for (const char* id : {"delta", "delta_lowbits"})
    for (const auto type : kTypes) {
      const Case c{id, "{bits: 3, max_samples: 2}"};
      SCOPED_TRACE(::testing::Message() << c.name() << " " << type);
      auto sender = c.fresh(), receiver = c.fresh();
      const auto host = c.fresh();
      for (uint64_t visit = 0; visit < 5; ++visit) {
        at::Tensor x = activation({2, 6, 48}, 9) + 0.1 * activation({2, 6, 48}, 20 + visit);
        if (visit == 2) x[1][3][5] = NAN;  // forgotten at both ends
        x = x.to(type);
        const bool is_warmup = visit == 0;
        if (visit == 4) {  // as after a restart
          testing::MemoryState sent, received;
          sender->save(sent), receiver->save(received);
          sender = c.fresh(), receiver = c.fresh();
          sender->load(sent), receiver->load(received);
        }
        const at::Tensor wire = encode(*sender, x.to(device), is_warmup);
        const at::Tensor y = decode(*receiver, wire, x, is_warmup);

        const at::Tensor expected = encode(*host, x, is_warmup);
        if (visit != 2) {
          EXPECT_TRUE(at::equal(wire.cpu(), expected)) << visit;
          EXPECT_TRUE(y.isfinite().all().item<bool>()) << visit;
        }
      }
      testing::MemoryState sent, received, expected;
      sender->save(sent), receiver->save(received), host->save(expected);
      EXPECT_TRUE(at::equal(sent.tensor("kept"), received.tensor("kept")));
      EXPECT_TRUE(at::equal(sent.tensor("kept"), expected.tensor("kept")));
      EXPECT_TRUE(at::equal(sent.tensor("samples"), expected.tensor("samples")));
    }
}

#ifdef QTK_HAS_CUDA
TEST(CommOnGpu, CapturedGraphsCodeNewValues) {
  if (!cuda_is_available()) GTEST_SKIP() << "no CUDA device answers";
  const auto device = open_device("cuda");
  const std::vector<Case> cases = {{"none", "{}"},
                                   {"none", "{dtype: f16}"},
                                   {"fixpoint", "{bits: 6}"},
                                   {"fixpoint", "{scale_per: token}"},
                                   {"fixpoint", "{scale_per: tensor, scale_method: l2}"},
                                   {"tah", "{}"},
                                   {"tah", "{allocation: token}"},
                                   {"tah", "{allocation: range}"}};
  for (const Case& c : cases)
    for (const auto type : kTypes) {
      SCOPED_TRACE(::testing::Message() << c.name() << " " << type);
      const auto sender = c.fresh(), receiver = c.fresh();
      const at::Tensor x = activation({2, 65, 1600}, 3).to(device, type);
      const MessageInfo info{.spec = {x.sizes().vec(), type}};
      at::Tensor wire = at::empty({sender->wire_bytes(info.spec)}, x.options().dtype(at::kByte));
      at::Tensor y;
      const testing::CudaGraph graph(device, [&] {
        sender->encode(x, wire, info);
        y = receiver->decode(wire, info);
      });
      for (uint64_t step = 0; step < 3; ++step) {
        const at::Tensor fresh = activation({2, 65, 1600}, 30 + step).to(device, type);
        const at::Tensor expected = encode(*c.fresh(), fresh);
        x.copy_(fresh), wire.fill_(0xa5), y.fill_(NAN);

        graph.replay();

        EXPECT_TRUE(at::equal(wire, expected));
        EXPECT_TRUE(same(y, decode(*c.fresh(), expected, fresh)));
      }
    }
}

#endif

TEST(CommOnGpu, DamagedMapsOfPrecisionsAreSeen) {
  if (!cuda_is_available()) GTEST_SKIP() << "no CUDA device answers";
  const auto device = open_device("cuda");
  for (const char* options : {"{}", "{allocation: token}", "{high_precision_ratio: 1}"})
    for (const int byte : {0, 0xff})
      for (const int64_t channels : {640, 1600}) {
        const Case c{"tah", options};
        const at::Tensor x = activation({2, 33, channels}, 6).to(device);
        const at::Tensor wire = at::full_like(encode(*c.fresh(), x), byte);
        if (byte == 0 && std::string(options).find("ratio") != std::string::npos) continue;

        EXPECT_TRUE(decode(*c.fresh(), wire, x).isnan().any().item<bool>()) << options << byte;
      }
}

TEST(CommOnGpu, RefuseWhatTheKernelsDoNotTake) {
  if (!cuda_is_available()) GTEST_SKIP() << "no CUDA device answers";
  const auto device = open_device("cuda");
  const at::Tensor x = activation({1, 4, 64}, 1).to(device);
  const MessageInfo info{.spec = {x.sizes().vec(), x.scalar_type()}};
  const auto small = testing::make<Compressor>("tah", "{tile_size: 4}"),
             link = testing::make<Compressor>("fixpoint");
  at::Tensor wire = at::empty({small->wire_bytes(info.spec)}, x.options().dtype(at::kByte));
  const at::Tensor memory =
      at::empty({link->wire_bytes(info.spec) + 1}, x.options().dtype(at::kByte));
  at::Tensor odd = memory.narrow(0, 1, memory.numel() - 1),
             host = at::empty({link->wire_bytes(info.spec)}, at::kByte);

  EXPECT_THROW(small->encode(x, wire, info), ConfigError);
  EXPECT_THROW(link->encode(x, odd, info), Error);
  EXPECT_THROW(link->encode(x, host, info), Error);
}

}  // namespace
}  // namespace qtk
