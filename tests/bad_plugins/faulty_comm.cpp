// Sends bfloat16 differences to the last tensor, and breaks the rule named by its option.
#include <qtk/plugin.hpp>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

namespace {

struct FaultyOptions {
  std::string fault = "none";
  double gain = 1.0;

  static void describe(qtk::OptionSet<FaultyOptions>& o) {
    o.field("fault", &FaultyOptions::fault).doc("The rule to break.");
    o.field("gain", &FaultyOptions::gain)
        .range(0.5, 2)
        .doc("Part of the last tensor that is subtracted.");
  }
};

int num_encoded = 0;

class FaultyCompressor final : public qtk::Compressor {
 public:
  explicit FaultyCompressor(FaultyOptions options) : options_(std::move(options)) {}

  int64_t wire_bytes(const qtk::TensorSpec& spec) const override {
    int64_t count = 1;
    for (const int64_t size : spec.shape) count *= size;
    return 2 * count + 8;
  }

  void encode(const at::Tensor& x, at::Tensor& wire, const qtk::MessageInfo& info) override {
    if (is("changes_threads")) at::set_num_threads(at::get_num_threads() + 1);
    at::Tensor input =
        is("reads_as_contiguous") ? at::from_blob(x.data_ptr(), x.sizes(), x.options()) : x;
    const at::Tensor message = (input.to(at::kFloat) - last(info)).to(at::kBFloat16).contiguous();
    const at::Tensor bytes = message.flatten().view(at::kByte);
    wire.slice(0, 0, bytes.numel()).copy_(bytes);
    if (!is("leaves_padding")) wire.slice(0, bytes.numel()).zero_();
    if (is("counts_calls")) wire.slice(0, bytes.numel()).fill_(++num_encoded % 200);
    if (is("writes_input")) x.mul_(2);
    remember(message.to(at::kFloat) + last(info));
  }

  at::Tensor decode(const at::Tensor& wire, const qtk::MessageInfo& info) override {
    int64_t bytes = wire_bytes(info.spec) - 8;
    const at::Tensor message =
        wire.slice(0, 0, bytes).contiguous().view(at::kBFloat16).view(info.spec.shape);
    at::Tensor y = message.to(at::kFloat) + last(info);
    remember(y);
    if (is("loses_precision")) y = y.sign();
    if (is("divides_by_norm")) y = y / y.norm() * y.norm();
    return is("forgets_dtype") ? y : y.to(info.spec.dtype);
  }

  void save(qtk::StateWriter& out) const override {
    if (last_.defined() && !is("forgets_state")) out.tensor("last", last_);
  }
  void load(qtk::StateReader& in) override {
    if (in.has("last")) last_ = in.tensor("last");
  }

 private:
  bool is(const char* fault) const { return options_.fault == fault; }
  at::Tensor last(const qtk::MessageInfo& info) const {
    const double gain = is("ignores_option") ? 0.5 : 0.5 * options_.gain;
    return last_.defined() ? gain * last_ : at::zeros(info.spec.shape);
  }
  void remember(const at::Tensor& y) { last_ = y.clone(); }

  FaultyOptions options_;
  at::Tensor last_;
};

}  // namespace

QTK_PLUGIN(Compressor, FaultyCompressor, FaultyOptions, .name = "faulty_comm", .version = "1",
           .summary = "Breaks one rule of the contract")
