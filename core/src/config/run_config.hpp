// The configuration of a run as plain structs. Adding a section: its struct with describe() (and
// sections(), if it has any inside), a member of RunConfig, one line in RunConfig::sections(), and
// its rules in run_config_rules.cpp.
#pragma once

#include "config/document.hpp"
#include "config/parallel_config.hpp"
#include "config/plugin_node.hpp"
#include "config/section.hpp"
#include "config/train_config.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace qtk::config {

/// Version of the format that this program writes and reads.
inline constexpr int64_t kSchemaVersion = 1;

struct PluginPaths {
  std::vector<std::string> path;
  static void describe(OptionSet<PluginPaths>& o);
};

struct ModelSection {
  std::string path;
  std::string dtype = "file";
  std::string import_dtype = "f32";
  static void describe(OptionSet<ModelSection>& o);
  static void sections(SectionSet<ModelSection>& s);
};

struct EvalData {
  std::vector<std::string> files;
  std::string format = "text";
  std::vector<std::string> protocol = {"ppl_token"};
  int64_t ctx = 512;
  int64_t windows = 0;  // 0: all
  int64_t batch_tokens = 4096;
  bool compare = true;
  static void describe(OptionSet<EvalData>& o);
  static void sections(SectionSet<EvalData>& s);
};

/// Texts on which sensitivities are measured.
struct CalibData {
  std::vector<std::string> files;
  std::string format = "text";
  std::string field = "text";
  int64_t ctx = 512;
  int64_t batches = 5;
  int64_t batch_size = 1;
  int64_t seed = 0;
  static void describe(OptionSet<CalibData>& o);
  static void sections(SectionSet<CalibData>& s);
};

struct DataSection {
  std::optional<TrainData> train;
  std::optional<CalibData> calib;
  std::optional<EvalData> eval;
  static void describe(OptionSet<DataSection>&) {}
  static void sections(SectionSet<DataSection>& s);
};

/// Other options for some sites; of several rules that match, the last one counts.
struct SiteRule {
  std::string match;  // SitePattern
  Node options = Node::map();
  SourceMark mark;
  std::string path;
  static void describe(OptionSet<SiteRule>& o);
  static void sections(SectionSet<SiteRule>& s);
};

/// How the loss's sensitivity to each site is found: measured (`use`) or read (`file`).
struct EstimatorSection {
  std::string use;
  Node options = Node::map();
  std::string file;                                   // sensitivity.json of another run
  std::vector<std::string> granularity = {"tensor"};  // one of kGranularities, or SitePatterns
  std::vector<std::string> targets = {"re:.*"};       // SitePattern
  std::vector<std::string> skip = {"lm_head"};        // SitePattern
  SourceMark mark;
  std::string path;
  static void describe(OptionSet<EstimatorSection>& o);
  static void sections(SectionSet<EstimatorSection>& s);
};

struct QuantizerSection {
  std::string use;
  Node options = Node::map();
  std::vector<std::string> targets = {"re:.*"};  // SitePattern
  std::vector<std::string> skip = {"lm_head"};   // SitePattern
  std::vector<SiteRule> rules;
  std::string rest_dtype = "file";  // of the tensors that stay dense in the packed model
  SourceMark mark;
  std::string path;
  static void describe(OptionSet<QuantizerSection>& o);
  static void sections(SectionSet<QuantizerSection>& s);
};

/// One more way to quantize the same model. What it does not say comes from `quantizer`.
struct VariantSection {
  std::string name;
  std::string use;  // empty: the quantizer's
  Node options = Node::map();
  std::optional<std::vector<SiteRule>> rules;
  SourceMark mark;
  std::string path;
  static void describe(OptionSet<VariantSection>& o);
  static void sections(SectionSet<VariantSection>& s);
};

struct ExportSection {
  std::string use;
  std::string type;
  std::string dtype;
  std::string dir;
  std::string file;
  bool check = true;
  std::vector<std::string> variants;  // empty: all
  SourceMark mark;
  std::string path;
  static void describe(OptionSet<ExportSection>& o);
  static void sections(SectionSet<ExportSection>& s);
};

struct ReportSection {
  bool html = true;
  static void describe(OptionSet<ReportSection>& o);
};

struct RunConfig {
  int64_t qtk = kSchemaVersion;
  std::string name;
  int64_t seed = 1234;
  std::string device = "auto";
  std::string determinism = "warn";
  int64_t threads = 0;  // 0: all cores
  std::string out = "runs";
  std::vector<std::string> stages;  // read_run_config() fills it when the file does not
  PluginPaths plugins;
  ModelSection model;
  DataSection data;
  std::optional<EstimatorSection> estimator;
  std::optional<QuantizerSection> quantizer;
  std::vector<VariantSection> variants;
  std::optional<TrainSection> train;
  std::optional<OptimizerSection> optimizer;
  std::optional<SchedulerSection> scheduler;
  ParallelSection parallel;
  CommSection comm;
  DistSection dist;
  std::vector<ExportSection> exports;
  ReportSection report;

  static void describe(OptionSet<RunConfig>& o);
  static void sections(SectionSet<RunConfig>& s);

  bool has_stage(std::string_view stage) const;
};

/// Reads and checks everything but the options of plugins. Problems go to `diagnostics`. After
/// throw_if_any() passed, the result is complete.
RunConfig read_run_config(const Document& document, Diagnostics& diagnostics);

/// Reports files and folders that the configuration names and that do not exist. Part of `qtk
/// validate` and of the start of a run; separate, because it looks at the disk.
void check_files(const RunConfig& config, const Document& document, Diagnostics& diagnostics);

/// A quantizer node as one variant uses it.
struct QuantizerVariant {
  std::string name;
  QuantizerSection quantizer;
};

/// The variants with everything that they inherit: options are laid over the quantizer's, rules
/// replace the quantizer's. A variant with another `use:` inherits only targets and skip. Without
/// variants: one, named after the quantizer. Empty if nothing is to be quantized.
std::vector<QuantizerVariant> quantizer_variants(const RunConfig& config);

/// Names of the models that the run makes: the quantizer's variants, or "dense" for training
/// without a quantizer.
std::vector<std::string> result_names(const RunConfig& config);

/// The configuration with all defaults, relative paths of inputs made absolute. As YAML (to_yaml)
/// it reproduces the run from any folder. Options of plugins are written as they stand in `config`;
/// put options_node(table, values) there to have their defaults too.
Node resolved_node(const RunConfig& config);

}  // namespace qtk::config
