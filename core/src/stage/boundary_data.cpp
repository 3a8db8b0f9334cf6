#include "stage/boundary_data.hpp"

#include "stage/packed_model.hpp"
#include "text/corpus.hpp"
#include "text/tokenizer.hpp"
#include "text/windows.hpp"

#include <qtk/runtime/error.hpp>
#include <qtk/runtime/random.hpp>

#include <ATen/ATen.h>

#include <cstdio>

namespace qtk::stage {
namespace {

constexpr int64_t kFirstOutlier = 17, kOutlierStride = 128;
constexpr double kOutlierFactor = 20;
constexpr double kChange = 0.05;  // between visits, of a channel's root mean square

at::Tensor normal(at::IntArrayRef shape, uint64_t seed, std::string_view purpose) {
  at::Tensor x = at::empty(shape, at::kFloat);
  RandomStream(RandomKey{.seed = seed, .purpose = purpose}).fill_normal(x);
  return x;
}

at::Tensor channel_rms(const at::Tensor& x_BSC) {
  return x_BSC.square().mean(at::IntArrayRef{0, 1}).sqrt();
}

BoundaryData visits_of(const at::Tensor& x, std::string description, at::ScalarType dtype,
                       c10::Device device, uint64_t seed) {
  const at::Tensor host = x.to(at::kCPU, at::kFloat);
  const at::Tensor noise = normal(host.sizes(), seed, "boundary.second_visit");
  const at::Tensor second = host + kChange * channel_rms(host) * noise;
  return {std::move(description), host.to(device, dtype), second.to(device, dtype)};
}

/// "channel 113 is 27 times as large as the median one"
std::string outlier_text(const at::Tensor& x_BSC) {
  const at::Tensor rms_C = channel_rms(x_BSC.to(at::kCPU, at::kFloat));
  const double median = rms_C.median().item<double>();
  std::array<char, 96> text{};
  std::snprintf(text.data(), text.size(), "channel %lld is %.1f times as large as the median one",
                static_cast<long long>(rms_C.argmax().item<int64_t>()),
                rms_C.max().item<double>() / median);
  return text.data();
}

}  // namespace

BoundaryData random_boundary(const BoundaryShape& shape, at::ScalarType dtype, c10::Device device,
                             uint64_t seed) {
  at::Tensor x_BSC = normal(shape, seed, "boundary.first_visit");
  std::string outliers;
  for (int64_t c = kFirstOutlier; c < shape[2]; c += kOutlierStride) {
    x_BSC.select(2, c).mul_(kOutlierFactor);
    if (c <= kFirstOutlier + kOutlierStride)
      outliers += (c == kFirstOutlier ? " " : ", ") + std::to_string(c);
  }
  if (shape[2] > kFirstOutlier + 2 * kOutlierStride) outliers += ", ...";
  std::string description = "standard normal";
  if (!outliers.empty()) description += ", outlier channels" + outliers + " times 20";
  return visits_of(x_BSC, std::move(description), dtype, device, seed);
}

BoundaryData captured_boundary(const std::filesystem::path& model,
                               const std::filesystem::path& text, int64_t layer, int64_t windows,
                               int64_t tokens, at::ScalarType dtype, RunContext& context) {
  const auto ids = text::Tokenizer::load(model).encode(text::read_text(text));
  if (static_cast<int64_t>(ids.size()) < windows * tokens)
    throw DataError(text.string() + " has " + std::to_string(ids.size()) + " tokens, expected " +
                        std::to_string(windows * tokens),
                    "use a longer text or a smaller shape");
  const auto opened = open_model(model, {.device = context.device()}, context);
  const int64_t layers = opened.decoder->config().num_layers;
  if (layer < 1 || layer > layers)
    throw ConfigError("layer " + std::to_string(layer) + " of " + model.string() +
                          " was asked for, which has layers 1 to " + std::to_string(layers),
                      "choose another layer");
  const at::NoGradGuard no_grad;
  const text::TokenWindows cut(text::id_tensor(ids), tokens);
  at::Tensor x_BSC = opened.decoder->embed(cut.batch(0, windows).to(context.device()));
  for (int64_t i = 0; i < layer; ++i) x_BSC = opened.decoder->block(i, x_BSC);
  return visits_of(x_BSC,
                   "activations after layer " + std::to_string(layer) + " of " + model.string() +
                       " on " + text.string() + "; " + outlier_text(x_BSC),
                   dtype, context.device(), /*seed=*/0);
}

}  // namespace qtk::stage
