// What a run has to show, gathered by the report stage, and the HTML page made of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace qtk::report {

/// One figure of quality with its protocol: "ppl_token/ctx=512".
struct QualityFigure {
  std::string protocol;
  double value = 0;  // a perplexity: lower is better; NaN or infinity if the model diverged
  double standard_error = 0;  // 0: unknown
  int64_t tokens = 0;         // predictions behind it
};

/// Distance from the base model's predictions, over the windows of one protocol.
struct Agreement {
  double kl_mean = 0, kl_median = 0, kl_p99 = 0, kl_max = 0;  // nat per token
  double top1 = 0;       // share of equal first choices, 0 ... 1
  std::string protocol;  // "ppl_token/ctx=512"
};

/// Error that quantization left in one linear layer.
struct SiteError {
  std::string site;            // "model.layers.3.mlp.up_proj"
  int block = -1;              // -1: outside the blocks
  std::string role;            // "up_proj"; several sites may share a block and a role (experts)
  double relative_error = 0;   // ||W - W'||_F / ||W||_F
  double bits_per_weight = 0;  // metadata included
};

struct ExportedFile {
  std::string format;  // "gguf Q4_0"
  std::string path;
  int64_t bytes = 0;
  std::string check;  // "re-read, 211 tensors" or why it was not checked
};

/// One figure of training over the optimizer's steps. Values that are not finite leave a gap.
struct MetricSeries {
  std::string name;                               // "loss", "temperature/mean": as in metrics.jsonl
  std::vector<std::pair<double, double>> points;  // step, value; steps ascending
};

/// How much a layer's error matters, as an estimator measured it.
struct SiteSensitivity {
  std::string site;
  int block = -1;  // -1: outside the blocks
  std::string role;
  double value = 0;           // NaN: could not be measured
  double standard_error = 0;  // NaN or 0: unknown
};

struct Sensitivity {
  std::string quantity;   // "trace of the Hessian"
  std::string estimator;  // plugin id
  std::vector<SiteSensitivity> sites;
};

/// The base model (first) or one variant of it.
struct ModelResult {
  std::string name;          // "base", "w4"
  std::string description;   // "affine, 4 bit, group 64"
  int64_t tensor_bytes = 0;  // exact bytes of all tensors written
  /// Of the quantized weights, metadata included; of all weights for the base model.
  double bits_per_weight = 0;
  std::vector<QualityFigure> quality;
  std::optional<Agreement> agreement;  // empty for the base model
  double tokens_per_second = 0;        // evaluation forward; 0: not measured
  std::vector<SiteError> sites;
  std::vector<ExportedFile> files;
  std::vector<MetricSeries> metrics;  // of its training; empty if it was not trained
};

struct RunReport {
  std::string name;           // of the run
  std::string started;        // ISO time
  double seconds = 0;         // all stages together
  std::string command;        // to run it again
  std::string model;          // path and fingerprint
  std::string data;           // evaluation text and fingerprint
  std::string machine;        // CPU or GPU, threads, versions
  std::string configuration;  // resolved YAML
  std::vector<std::pair<std::string, double>> stage_seconds;
  std::vector<ModelResult> models;  // base first
  std::optional<Sensitivity> sensitivity;
  /// Of tokens_per_second: "H100, batch 8 x 512, fp32". If empty, `machine` is named.
  std::string speed_protocol;
  /// Relative increase of perplexity that still counts as close to the base model.
  double tolerance = 0.05;
};

/// One self-contained page in UTF-8: inline CSS and SVG, no script, nothing fetched. Every string
/// is escaped, absent and non-finite numbers are said in words, and equal reports give equal bytes.
std::string html(const RunReport& report);

}  // namespace qtk::report
