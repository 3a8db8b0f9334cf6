// Names, bounds and sentences of every key of a run's configuration.
#include "config/run_config.hpp"
#include "config/run_config_rules.hpp"

namespace qtk::config {

void PluginPaths::describe(OptionSet<PluginPaths>& o) {
  o.field("path", &PluginPaths::path)
      .doc("Folders that are searched for plugins before the installed ones.");
}

void ModelSection::describe(OptionSet<ModelSection>& o) {
  o.field("path", &ModelSection::path).doc("Folder of a Hugging Face model, or a GGUF file.");
  o.field("dtype", &ModelSection::dtype)
      .one_of({"file", "f32", "bf16", "f16"})
      .doc("Type to compute in; `file` takes the type the weights are stored in.");
  o.field("import_dtype", &ModelSection::import_dtype)
      .one_of({"f32", "f16", "bf16"})
      .doc("Type to store imported weights in when they are dequantized from a GGUF file.");
}

void ModelSection::sections(SectionSet<ModelSection>& s) { s.require("path"); }

void EvalData::describe(OptionSet<EvalData>& o) {
  o.field("files", &EvalData::files).doc("Texts to measure on.");
  o.field("format", &EvalData::format)
      .one_of({"text", "wikitext"})
      .doc("How the files are read; `wikitext` undoes the spacing of that corpus.");
  o.field("protocol", &EvalData::protocol)
      .one_of({"ppl_token", "ppl_word", "ppl_llamacpp"})
      .doc("How perplexity is counted; one name or a list.");
  o.field("ctx", &EvalData::ctx).range(2, 1 << 20).unit("token").doc("Length of a window.");
  o.field("windows", &EvalData::windows).at_least(0).doc("Windows to measure; 0 takes all.");
  o.field("batch_tokens", &EvalData::batch_tokens)
      .range(1, 1 << 24)
      .unit("token")
      .doc("Tokens that go through the model at once; at least one window does.");
  o.field("compare", &EvalData::compare)
      .doc("Also report KL divergence and top-1 agreement with the base model.");
}

void EvalData::sections(SectionSet<EvalData>& s) {
  s.require("files");
  s.one_or_list("protocol");
}

void CalibData::describe(OptionSet<CalibData>& o) {
  o.field("files", &CalibData::files).doc("Texts to calibrate on.");
  o.field("format", &CalibData::format)
      .one_of({"text", "jsonl", "wikitext"})
      .doc("How the files are read; jsonl: one document a line, EOS between documents.");
  o.field("field", &CalibData::field).doc("Key of the text in a line of jsonl.");
  o.field("ctx", &CalibData::ctx)
      .range(2, 1 << 20)
      .unit("token")
      .original("--max-seq-len")
      .doc("Length of a sample.");
  o.field("batches", &CalibData::batches).range(1, 1 << 20).doc("Batches of samples.");
  o.field("batch_size", &CalibData::batch_size)
      .range(1, 1 << 16)
      .original("--calibrate-batch-size")
      .doc("Samples that go through the model at once.");
  o.field("seed", &CalibData::seed).at_least(0).doc("Seed of the choice of samples.");
}

void CalibData::sections(SectionSet<CalibData>& s) { s.require("files"); }

void DataSection::sections(SectionSet<DataSection>& s) {
  s.section("train", &DataSection::train).doc("Texts to train on.");
  s.section("calib", &DataSection::calib).doc("Texts of the calibration.");
  s.section("eval", &DataSection::eval).doc("Texts and protocol of the evaluation.");
}

void SiteRule::describe(OptionSet<SiteRule>& o) {
  o.field("match", &SiteRule::match)
      .doc("Site name, or `re:` and a regular expression for the whole name.");
}

void SiteRule::sections(SectionSet<SiteRule>& s) {
  s.require("match");
  s.plugin_options("options", &SiteRule::options, "quantizer")
      .doc("Options that differ for these sites.");
}

void EstimatorSection::describe(OptionSet<EstimatorSection>& o) {
  describe_use(o, "estimator");
  o.field("file", &EstimatorSection::file)
      .doc("In place of `use`: a sensitivity.json that was measured on the same model.");
  o.field("granularity", &EstimatorSection::granularity)
      .doc(
          "Who shares the mean of measured values: tensor (nobody), layer, component (equal last "
          "names), or a list of patterns, one group each.");
  o.field("targets", &EstimatorSection::targets)
      .doc("Sites to measure: names, or `re:` and a regular expression.");
  o.field("skip", &EstimatorSection::skip).doc("Sites to leave alone even if they are targets.");
}

void EstimatorSection::sections(SectionSet<EstimatorSection>& s) {
  s.plugin_options("options", &EstimatorSection::options, "estimator")
      .doc("Options of the estimator; `qtk describe` lists them.");
  s.one_or_list("granularity");
}

void QuantizerSection::describe(OptionSet<QuantizerSection>& o) {
  describe_use(o, "quantizer");
  o.field("targets", &QuantizerSection::targets)
      .doc("Sites to quantize: names, or `re:` and a regular expression.");
  o.field("skip", &QuantizerSection::skip).doc("Sites to leave alone even if they are targets.");
  o.field("rest_dtype", &QuantizerSection::rest_dtype)
      .one_of({"file", "f32", "bf16", "f16"})
      .doc(
          "Stored type of the tensors that stay dense (embedding, norms, biases); file: as they "
          "are.");
}

void QuantizerSection::sections(SectionSet<QuantizerSection>& s) {
  declare_plugin(s, "quantizer");
  s.list("rules", &QuantizerSection::rules)
      .doc("Other options for some sites; the last match wins.");
}

void VariantSection::describe(OptionSet<VariantSection>& o) {
  o.field("name", &VariantSection::name).doc("Name of the variant in folders and tables.");
  o.field("use", &VariantSection::use).doc("Id of another quantizer.");
}

void VariantSection::sections(SectionSet<VariantSection>& s) {
  s.require("name");
  s.plugin_options("options", &VariantSection::options, "quantizer")
      .doc("Options that differ from the quantizer's.");
  s.list("rules", &VariantSection::rules).doc("Rules in place of the quantizer's.");
}

void ExportSection::describe(OptionSet<ExportSection>& o) {
  o.field("use", &ExportSection::use).one_of(kExportNames).doc("Format to write.");
  o.field("type", &ExportSection::type)
      .doc("GGUF type of the weights, for example Q4_0, or Q2_0 for ternary ones.");
  o.field("dtype", &ExportSection::dtype)
      .one_of({"", "f32", "bf16", "f16"})
      .doc("Type of weights that are written dense.");
  o.field("dir", &ExportSection::dir).doc("Folder to write, inside the run folder.");
  o.field("file", &ExportSection::file).doc("File to write, inside the run folder.");
  o.field("check", &ExportSection::check)
      .doc("Read the result back and compare it with the model.");
  o.field("variants", &ExportSection::variants)
      .doc("Names of the variants to export; empty takes all.");
}

void ExportSection::sections(SectionSet<ExportSection>& s) { s.require("use"); }

void ReportSection::describe(OptionSet<ReportSection>& o) {
  o.field("html", &ReportSection::html).doc("Write report.html into the run folder.");
}

void RunConfig::describe(OptionSet<RunConfig>& o) {
  o.field("qtk", &RunConfig::qtk).doc("Version of this format.");
  o.field("name", &RunConfig::name)
      .doc("Name of the run: lower-case letters, digits, `-` and `_`.");
  o.field("seed", &RunConfig::seed).at_least(0).doc("Seed of every random stream.");
  o.field("device", &RunConfig::device).doc("auto, cpu, cuda or cuda:N.");
  o.field("determinism", &RunConfig::determinism)
      .one_of({"off", "warn", "strict"})
      .doc("What happens when an operation is not reproducible.");
  o.field("threads", &RunConfig::threads)
      .range(0, 4096)
      .doc("Threads on the CPU; 0 takes all cores.");
  o.field("out", &RunConfig::out).doc("Folder in which the run's own folder is made.");
  o.field("stages", &RunConfig::stages)
      .one_of(kStageNames)
      .doc("Stages to run, in this order; by default all that the sections allow.");
}

void RunConfig::sections(SectionSet<RunConfig>& s) {
  s.require("qtk");
  s.require("name");
  s.section("plugins", &RunConfig::plugins).doc("Where plugins are found.");
  s.section("model", &RunConfig::model).required().doc("The model to work on.");
  s.section("data", &RunConfig::data).doc("Texts.");
  s.section("estimator", &RunConfig::estimator).doc("How sensitive the loss is to each layer.");
  s.section("quantizer", &RunConfig::quantizer).doc("How weights are quantized.");
  s.list("variants", &RunConfig::variants).doc("Several settings of the quantizer in one run.");
  s.section("train", &RunConfig::train).doc("How long and how to train.");
  s.section("optimizer", &RunConfig::optimizer).doc("Settings of AdamW.");
  s.section("scheduler", &RunConfig::scheduler)
      .doc("What drives the quantizer's knobs while it trains.");
  s.section("parallel", &RunConfig::parallel)
      .doc("How many processes share the training, and how.");
  s.section("comm", &RunConfig::comm)
      .doc("What processes send one another, and how slow the network pretends to be.");
  s.section("dist", &RunConfig::dist).doc("Network, time-outs and traces of several processes.");
  s.list("export", &RunConfig::exports).doc("Formats to write the result in.");
  s.section("report", &RunConfig::report).doc("What the report holds.");
}

}  // namespace qtk::config
