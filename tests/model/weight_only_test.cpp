#include <qtk/linear_product.hpp>
#include <qtk/runtime/error.hpp>
#include <qtk/testing/memory_state.hpp>
#include <qtk/testing/plugin_under_test.hpp>
#include <qtk/weight_only.hpp>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace qtk {
namespace {

using testing::gaussian;

const LinearSite kSite{.name = "model.layers.0.q_proj", .out_features = 6, .in_features = 10};

/// Rows of absmax codes; what it returns besides can be chosen.
class RowQuantizer : public WeightOnlyQuantizer {
 public:
  int bits = 3;
  bool is_signed = true;
  bool has_zeros = false;
  mutable std::atomic<int> num_calls = 0;

  Quantized quantize(const at::Tensor& w_OI) const override {
    ++num_calls;
    TORCH_CHECK(w_OI.size(1) % 2 == 0, "an odd number of columns");
    EXPECT_TRUE(w_OI.is_contiguous() && w_OI.scalar_type() == at::kFloat);
    const double top = (1 << (bits - 1)) - 1;
    const at::Tensor scale_O1 = w_OI.abs().amax(1, true).clamp_min(1e-8) / top;
    at::Tensor code_OI = (w_OI / scale_O1).round().clamp(-top - 1, top);
    Quantized q{.scales = scale_O1.to(at::kHalf), .bits = bits};
    q.codes = is_signed ? code_OI.to(at::kChar) : (code_OI + top + 1).to(at::kByte);
    if (has_zeros) q.zeros = at::full({w_OI.size(0)}, static_cast<int64_t>(top), at::kByte);
    return q;
  }
  at::Tensor dequantize(const Quantized& q) const override {
    const double middle = is_signed ? 0 : 1 << (q.bits - 1);
    return (q.codes.to(at::kFloat) - middle) * q.scales.to(at::kFloat);
  }
};

class GridQuantizer final : public RowQuantizer {
 public:
  std::optional<UniformGrid> grid(const Quantized& q) const override {
    return UniformGrid{.bits = q.bits,
                       .is_signed = true,
                       .group_size = q.codes.size(1),
                       .codes = q.codes.to(at::kInt)};
  }
};

LinearInit init() { return {.weight = gaussian({6, 10}, 1), .bias = gaussian({6}, 2)}; }

std::string refusal(const std::function<void()>& function) {
  try {
    function();
  } catch (const DataError& error) {
    return error.what();
  }
  return "nothing";
}

TEST(WeightOnly, CodesAreStoredAtTheirWidthWithAnOffsetIfSigned) {
  RowQuantizer quantizer;
  quantizer.has_zeros = true;
  const auto layer = quantizer.attach(kSite, init());

  const PackedWeight packed = layer->pack();

  EXPECT_EQ(packed.tensors.at("codes").sizes(),
            (std::vector<int64_t>{6, 4}));  // 10 codes of 3 bits
  EXPECT_EQ(packed.tensors.at("zeros").sizes(), (std::vector<int64_t>{1, 3}));  // 6 of 3 bits
  EXPECT_EQ(packed.tensors.at("scales").scalar_type(), at::kHalf);
  EXPECT_EQ(quantizer.storage_bits(kSite), 8 * (6 * 4 + 3 + 6 * 2));
  EXPECT_EQ(packed.storage_bits(), quantizer.storage_bits(kSite));
  const int64_t first_code = quantizer.quantize(init().weight).codes[0][0].item<int64_t>();
  EXPECT_EQ(packed.tensors.at("codes")[0][0].item<int64_t>() & 7, first_code + 4);
}

TEST(WeightOnly, EveryWidthAndSignRebuildsTheSameBits) {
  for (int bits = 2; bits <= 8; ++bits)
    for (const bool is_signed : {true, false})
      for (const bool has_zeros : {true, false}) {
        RowQuantizer quantizer;
        quantizer.bits = bits;
        quantizer.is_signed = is_signed;
        quantizer.has_zeros = has_zeros;
        const auto layer = quantizer.attach(kSite, init());

        const auto rebuilt = quantizer.unpack(kSite, layer->pack(), {});

        EXPECT_TRUE(at::equal(rebuilt->weight(), layer->weight()))
            << bits << is_signed << has_zeros;
        EXPECT_TRUE(
            at::equal(rebuilt->pack().tensors.at("codes"), layer->pack().tensors.at("codes")));
      }
}

TEST(WeightOnly, BinaryCodesTakeOneBitEach) {
  class Signs final : public RowQuantizer {
    Quantized quantize(const at::Tensor& w_OI) const override {
      return {.codes = (w_OI >= 0).to(at::kByte), .scales = w_OI.abs().mean(1, true), .bits = 1};
    }
    at::Tensor dequantize(const Quantized& q) const override {
      return (2 * q.codes.to(at::kFloat) - 1) * q.scales;
    }
  } quantizer;
  const auto layer = quantizer.attach(kSite, init());

  const PackedWeight packed = layer->pack();

  EXPECT_EQ(packed.tensors.at("codes").sizes(), (std::vector<int64_t>{6, 2}));  // 10 bits a row
  EXPECT_EQ(packed.storage_bits(), quantizer.storage_bits(kSite));
  EXPECT_TRUE(at::equal(quantizer.unpack(kSite, packed, {})->weight(), layer->weight()));
}

TEST(WeightOnly, SignedCodeOutsideItsWidthIsRefused) {
  class TooWide final : public RowQuantizer {
    Quantized quantize(const at::Tensor& w_OI) const override {
      Quantized q = RowQuantizer::quantize(w_OI);
      if (w_OI.any().item<bool>()) q.codes[2][3] = -5;  // 3 bits hold -4 to 3
      return q;
    }
  } quantizer;

  EXPECT_THROW(quantizer.attach(kSite, init())->pack(), Error);
}

TEST(WeightOnly, DamagedTensorsAreRefusedByName) {
  RowQuantizer quantizer;
  const PackedWeight packed = quantizer.attach(kSite, init())->pack();
  const auto with = [&](const char* name, const at::Tensor& tensor) {
    PackedWeight changed = packed;
    changed.tensors[name] = tensor;
    return refusal([&] { quantizer.unpack(kSite, changed, {}); });
  };
  PackedWeight missing = packed;
  missing.tensors.erase("scales");

  EXPECT_EQ(refusal([&] { quantizer.unpack(kSite, missing, {}); }),
            "tensor model.layers.0.q_proj.scales is missing from a packed weight");
  EXPECT_EQ(with("codes", at::zeros({6, 5}, at::kByte)),
            "tensor model.layers.0.q_proj.codes is Byte [6, 5], expected Byte [6, 4]");
  EXPECT_EQ(with("scales", at::zeros({6, 1})),
            "tensor model.layers.0.q_proj.scales is Float [6, 1], expected Half [6, 1]");
  EXPECT_EQ(with("zeros", at::zeros({1, 3}, at::kByte)),
            "unknown tensor model.layers.0.q_proj.zeros in a packed weight");
  EXPECT_EQ(with("codes", {}),
            "tensor model.layers.0.q_proj.codes is undefined, expected Byte [6, 4]");
}

TEST(WeightOnly, ForwardHasTheQuantizedValuesAndTheLatentGradient) {
  RowQuantizer quantizer;
  const auto layer = quantizer.attach(kSite, init());
  auto& form = dynamic_cast<TrainableLinear&>(*layer);
  const at::Tensor x = gaussian({4, 10}, 3).requires_grad_(), upstream = gaussian({4, 6}, 4);

  const at::Tensor y = form.forward(x);
  y.backward(upstream);

  EXPECT_TRUE(at::equal(y, linear_product(x, layer->weight(), init().bias)));
  EXPECT_TRUE(at::allclose(form.trainable()[0].leaf.grad(), upstream.t().matmul(x)));
  EXPECT_TRUE(at::allclose(x.grad(), upstream.matmul(layer->weight())));
}

TEST(WeightOnly, BiasStaysTheCallersAndGetsItsGradient) {
  RowQuantizer quantizer;
  LinearInit given = init();
  given.bias.requires_grad_();

  const auto layer = quantizer.attach(kSite, given);
  layer->forward(gaussian({4, 10}, 3)).sum().backward();

  EXPECT_TRUE(at::equal(given.bias.grad(), at::full({6}, 4.0f)));
}

TEST(WeightOnly, InferenceFormPassesGradientsToItsInputOnly) {
  RowQuantizer quantizer;
  const auto layer = quantizer.unpack(kSite, quantizer.attach(kSite, init())->pack(), init().bias);
  const at::Tensor x = gaussian({4, 10}, 3).requires_grad_();

  layer->forward(x).sum().backward();

  EXPECT_TRUE(at::allclose(x.grad(), layer->weight().sum(0).expand({4, 10})));
}

TEST(WeightOnly, ComputesInTheDtypeOfItsInput) {
  RowQuantizer quantizer;
  const auto layer = quantizer.attach(kSite, init());

  EXPECT_EQ(layer->forward(gaussian({4, 10}, 3).to(at::kBFloat16)).scalar_type(), at::kBFloat16);
  EXPECT_EQ(quantizer.unpack(kSite, layer->pack(), init().bias)
                ->forward(gaussian({4, 10}, 3).to(at::kDouble))
                .scalar_type(),
            at::kDouble);
}

TEST(WeightOnly, GridIsThatOfThePlugin) {
  GridQuantizer with_grid;
  RowQuantizer without;
  const auto layer = with_grid.attach(kSite, init());

  EXPECT_FALSE(without.attach(kSite, init())->grid());
  ASSERT_TRUE(layer->grid());
  EXPECT_EQ(layer->grid()->bits, 3);
  EXPECT_TRUE(
      at::equal(with_grid.unpack(kSite, layer->pack(), {})->grid()->codes, layer->grid()->codes));
}

TEST(WeightOnly, SavedLatentWeightIsLoadedInPlace) {
  RowQuantizer quantizer;
  const auto first = quantizer.attach(kSite, init());
  LinearInit other = init();
  other.weight = gaussian({6, 10}, 9);
  const auto second = quantizer.attach(kSite, other);
  const at::Tensor leaf = dynamic_cast<TrainableLinear&>(*second).trainable()[0].leaf;
  testing::MemoryState state;

  first->save(state);
  second->load(state);

  EXPECT_TRUE(at::equal(second->weight(), first->weight()));
  EXPECT_TRUE(at::equal(leaf, init().weight))
      << "the optimizer's tensor must be the one that was loaded";
}

TEST(WeightOnly, SavedWeightOfAnotherShapeIsRefused) {
  RowQuantizer quantizer;
  testing::MemoryState state;
  state.tensor("weight", at::zeros({6, 12}));

  EXPECT_EQ(refusal([&] { quantizer.attach(kSite, init())->load(state); }),
            "the saved weight of model.layers.0.q_proj is Float [6, 12], expected Float [6, 10]");
}

TEST(WeightOnly, OptionsThatDoNotFitTheSiteAreAConfigError) {
  RowQuantizer quantizer;
  const LinearSite odd{.name = "lm_head", .out_features = 4, .in_features = 9};

  for (const auto& call :
       {std::function<void()>([&] { quantizer.storage_bits(odd); }), std::function<void()>([&] {
          quantizer.attach(odd, {.weight = at::zeros({4, 9})});
        })}) {
    try {
      call();
      FAIL();
    } catch (const ConfigError& error) {
      EXPECT_EQ(std::string(error.what()),
                "lm_head [4, 9] cannot be quantized: an odd number of columns");
    }
  }
}

TEST(WeightOnly, WeightOrBiasOfAnotherShapeIsRefused) {
  RowQuantizer quantizer;

  EXPECT_THROW(quantizer.attach(kSite, {.weight = at::zeros({10, 6})}), Error);
  EXPECT_THROW(quantizer.attach(kSite, {}), Error);
  EXPECT_THROW(quantizer.attach(kSite, {.weight = at::zeros({6, 10}), .bias = at::zeros({10})}),
               Error);
}

TEST(WeightOnly, BrokenQuantizeIsRefused) {
  class Broken final : public RowQuantizer {
   public:
    std::function<void(Quantized&)> damage;
    Quantized quantize(const at::Tensor& w_OI) const override {
      Quantized q = RowQuantizer::quantize(w_OI);
      damage(q);
      return q;
    }
  };
  for (const auto& damage : std::initializer_list<std::function<void(Quantized&)>>{
           [](Quantized& q) { q.bits = 9; }, [](Quantized& q) { q.codes = q.codes.to(at::kInt); },
           [](Quantized& q) { q.codes = q.codes.slice(0, 1); },
           [](Quantized& q) { q.scales = at::Tensor(); },
           [](Quantized& q) { q.scales = q.scales.to(at::kInt); },
           [](Quantized& q) { q.zeros = at::zeros({6}); }}) {
    Broken quantizer;
    quantizer.damage = damage;

    EXPECT_THROW(quantizer.storage_bits(kSite), Error);
  }
}

TEST(WeightOnly, PrototypeIsMadeOncePerShapeFromSeveralThreads) {
  RowQuantizer quantizer;
  const int64_t expected = quantizer.storage_bits(kSite);
  LinearSite other = kSite;
  other.out_features = 12;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&] {
      for (int j = 0; j < 50; ++j) {
        EXPECT_EQ(quantizer.storage_bits(kSite), expected);
        EXPECT_EQ(quantizer.storage_bits(other), 2 * expected);
      }
    });
  for (std::thread& thread : threads) thread.join();

  EXPECT_LE(quantizer.num_calls, 9)
      << "one call for the first shape, at most one per thread for the second";
}

}  // namespace
}  // namespace qtk
