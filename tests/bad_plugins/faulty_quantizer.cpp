// A trainable int8 quantizer with one scale per row that breaks the rule named by its option.
#include <qtk/plugin.hpp>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

namespace {

struct FaultyOptions {
  std::string fault = "none";
  double shrink = 1.0;

  static void describe(qtk::OptionSet<FaultyOptions>& o) {
    o.field("fault", &FaultyOptions::fault).doc("The rule to break.");
    o.field("shrink", &FaultyOptions::shrink).range(0.5, 1).doc("Factor of each scale.");
  }
};

int num_attached = 0;

class FaultyLinear final : public qtk::TrainableLinear {
 public:
  FaultyLinear(FaultyOptions options, at::Tensor latent, at::Tensor bias)
      : options_(std::move(options)),
        latent_(std::move(latent)),
        bias_(std::move(bias)),
        count_(++num_attached) {
    latent_.requires_grad_();
  }

  at::Tensor forward(const at::Tensor& x) override {
    if (is("changes_threads")) at::set_num_threads(at::get_num_threads() + 1);
    const at::Tensor w = latent_ + (weight() - latent_).detach();
    at::Tensor input = x;
    if (is("writes_input")) input.mul_(2);
    if (is("reads_as_contiguous")) input = at::from_blob(x.data_ptr(), x.sizes(), x.options());
    if (is("flattens")) input = input.flatten(0, -2);
    return at::linear(input, is("stops_gradient") ? w.detach() : w,
                      is("forgets_bias") ? at::Tensor() : bias_);
  }
  at::Tensor weight() const override { return (codes() * scales()).detach(); }
  qtk::PackedWeight pack() const override {
    return {{{"codes", codes().to(at::kChar)}, {"scales", scales()}}};
  }
  std::vector<qtk::TrainableTensor> trainable() override {
    return {{.name = "weight", .leaf = latent_}};
  }
  void after_step(const qtk::StepInfo&) override { drift_ += is("forgets_state") ? 0.01 : 0; }

 private:
  bool is(const char* fault) const { return options_.fault == fault; }
  at::Tensor scales() const {
    const double used = is("ignores_option") ? 1.0 : options_.shrink;
    const double noise = is("counts_calls") ? 1e-3 * count_ : 0;
    return latent_.detach().abs().amax(1, true).clamp_min(1e-8) * ((used + noise + drift_) / 127);
  }
  at::Tensor codes() const { return (latent_.detach() / scales()).round().clamp(-127, 127); }

  FaultyOptions options_;
  at::Tensor latent_;
  at::Tensor bias_;
  int count_;
  double drift_ = 0;
};

class CodedLinear final : public qtk::QuantizedLinear {
 public:
  CodedLinear(qtk::PackedWeight packed, at::Tensor bias, FaultyOptions options)
      : packed_(std::move(packed)), bias_(std::move(bias)), options_(std::move(options)) {}

  at::Tensor forward(const at::Tensor& x) override {
    const bool is_read_wrong = options_.fault == "reads_as_contiguous";
    return at::linear(is_read_wrong ? at::from_blob(x.data_ptr(), x.sizes(), x.options()) : x,
                      weight(), options_.fault == "forgets_bias" ? at::Tensor() : bias_) +
           (options_.fault == "adds_offset" ? 0.1 : 0.0);
  }
  at::Tensor weight() const override {
    const at::Tensor w = packed_.tensors.at("codes").to(at::kFloat) * packed_.tensors.at("scales");
    return options_.fault == "rounds_on_unpack" ? w.to(at::kBFloat16).to(at::kFloat) : w;
  }
  qtk::PackedWeight pack() const override { return packed_; }

 private:
  qtk::PackedWeight packed_;
  at::Tensor bias_;
  FaultyOptions options_;
};

class FaultyQuantizer final : public qtk::Quantizer {
 public:
  explicit FaultyQuantizer(FaultyOptions options) : options_(std::move(options)) {}

  qtk::QuantizerTraits traits() const override { return {.is_trainable = true}; }
  int64_t storage_bits(const qtk::LinearSite& site) const override {
    return 8 * site.numel() + (options_.fault == "forgets_scales" ? 0 : 32 * site.out_features);
  }
  std::unique_ptr<qtk::QuantizedLinear> attach(const qtk::LinearSite&,
                                               qtk::LinearInit init) override {
    // The half-precision fault: rounding in the dtype given.
    at::Tensor latent = init.weight.to(at::kFloat).clone();
    if (options_.fault == "treats_half_otherwise" && init.weight.scalar_type() == at::kBFloat16)
      latent *= 1.01;
    return std::make_unique<FaultyLinear>(options_, latent, init.bias);
  }
  std::unique_ptr<qtk::QuantizedLinear> unpack(const qtk::LinearSite& site,
                                               qtk::PackedWeight packed, at::Tensor bias) override {
    if (options_.fault != "trusts_files") check(site, packed);
    return std::make_unique<CodedLinear>(std::move(packed), std::move(bias), options_);
  }

 private:
  static void check(const qtk::LinearSite& site, const qtk::PackedWeight& packed) {
    const auto has = [&](const char* name, int64_t columns, at::ScalarType dtype) {
      const auto found = packed.tensors.find(name);
      return found != packed.tensors.end() && found->second.dim() == 2 &&
             found->second.size(0) == site.out_features && found->second.size(1) == columns &&
             found->second.scalar_type() == dtype;
    };
    if (!has("codes", site.in_features, at::kChar) || !has("scales", 1, at::kFloat))
      throw qtk::DataError("damaged weight of " + site.name);
  }

  FaultyOptions options_;
};

}  // namespace

QTK_PLUGIN(Quantizer, FaultyQuantizer, FaultyOptions, .name = "faulty_quantizer", .version = "1",
           .summary = "Breaks one rule of the contract")
