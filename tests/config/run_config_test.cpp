#include "config/run_config.hpp"

#include "config/emit.hpp"
#include "config/fixture.hpp"

#include <gtest/gtest.h>

#include <ctime>

namespace qtk::config {
namespace {

using Texts = std::vector<std::string>;

const std::string kMinimal = "qtk: 1\nname: run\nmodel: {path: m}\n";

TEST(ReadRunConfig, ReadsEveryKey) {
  const Read read = read_run(kSample);
  const RunConfig& config = read.config;

  ASSERT_TRUE(read.diagnostics.ok()) << read.diagnostics.text();
  EXPECT_TRUE(read.diagnostics.warnings().empty());
  EXPECT_EQ(config.name, "quickstart");
  EXPECT_EQ(config.seed, 7);
  EXPECT_EQ(config.device, "cpu");
  EXPECT_EQ(config.determinism, "strict");
  EXPECT_EQ(config.threads, 2);
  EXPECT_EQ(config.out, "results");
  EXPECT_EQ(config.plugins.path, Texts{"plugins_here"});
  EXPECT_EQ(config.model.path + config.model.dtype + config.model.import_dtype,
            "models/smallbf16f16");
  const EvalData& eval = *config.data.eval;
  EXPECT_EQ(eval.files, (Texts{"a.txt", "b.txt"}));
  EXPECT_EQ(eval.format, "wikitext");
  EXPECT_EQ(eval.protocol, (Texts{"ppl_token", "ppl_word"}));
  EXPECT_EQ(eval.ctx + eval.windows + eval.batch_tokens, 256 + 4 + 2048);
  EXPECT_FALSE(eval.compare);
  EXPECT_EQ(config.quantizer->use, "affine");
  EXPECT_EQ(config.quantizer->options.find("bits")->text(), "4");
  EXPECT_EQ(config.quantizer->targets, Texts{"re:.*_proj"});
  EXPECT_EQ(config.quantizer->rules[0].match, "re:.*layers\\.0\\..*");
  EXPECT_EQ(config.quantizer->rules[0].path, "quantizer.rules.0");
  EXPECT_EQ(config.quantizer->mark, (SourceMark{"run.yaml", 21, 3}));
  EXPECT_EQ(config.variants[1].use, "other");
  EXPECT_EQ(config.variants[1].rules->size(), 1u);
  EXPECT_EQ(config.exports[0].variants, Texts{"w4"});
  EXPECT_FALSE(config.exports[0].check);
  EXPECT_EQ(config.exports[1].type + config.exports[1].file, "Q4_0model.gguf");
  EXPECT_TRUE(config.report.html);
}

TEST(ReadRunConfig, RunsTheStagesThatHaveASection) {
  EXPECT_EQ(read_run(kMinimal).config.stages, (Texts{"import", "report"}));
  EXPECT_EQ(read_run(kMinimal + "report: {html: false}\nquantizer: {use: affine}\n").config.stages,
            (Texts{"import", "quantize"}));
  EXPECT_EQ(
      read_run(kMinimal + "data: {eval: {files: [t]}}\nexport: [{use: hf-dense}]\n").config.stages,
      (Texts{"import", "eval", "export", "report"}));
}

TEST(ReadRunConfig, TakesOneProtocolForAList) {
  const Read read = read_run(kMinimal + "data: {eval: {files: [t], protocol: ppl_llamacpp}}\n");

  EXPECT_TRUE(read.diagnostics.ok()) << read.diagnostics.text();
  EXPECT_EQ(read.config.data.eval->protocol, Texts{"ppl_llamacpp"});
}

TEST(ReadRunConfig, TakesOffForAWordWhereItIsAChoice) {
  const Read read = read_run(kMinimal + "determinism: off\n");

  EXPECT_TRUE(read.diagnostics.ok()) << read.diagnostics.text();
  EXPECT_EQ(read.config.determinism, "off");
  EXPECT_TRUE(read_run(to_yaml(resolved_node(read.config))).diagnostics.ok());
}

class RunConfigFault : public testing::TestWithParam<Fault> {};

TEST_P(RunConfigFault, IsReportedAtItsPlace) { expect_only_fault(kMinimal, GetParam()); }

INSTANTIATE_TEST_SUITE_P(
    Each, RunConfigFault,
    testing::Values(
        Fault{"device: gpu\n", "unknown device `gpu`\n  --> run.yaml:4:9   device"},
        Fault{"device: cuda:x\n", "unknown device `cuda:x`\n  --> run.yaml:4:9   device"},
        Fault{"device: \"cuda:\"\n", "unknown device `cuda:`\n  --> run.yaml:4:9   device"},
        Fault{"device: cuda:01\n", "unknown device `cuda:01`\n  --> run.yaml:4:9   device"},
        Fault{"out: ''\n", "`out` is empty\n  --> run.yaml:4:6   out"},
        Fault{"plugins: {path: [a, '']}\n", "an empty path\n  --> run.yaml:4:21   plugins.path.1"},
        Fault{"stages: []\n", "there are no stages to run\n  --> run.yaml:4:9   stages"},
        Fault{"stages: [import, import]\n",
              "stage `import` stands there twice\n  --> run.yaml:4:18   stages.1"},
        Fault{"stages: [report, import]\n",
              "stage `import` cannot run after `report`\n  --> run.yaml:4:18   stages.1"},
        Fault{"stages: [quantize]\n",
              "stage `quantize` needs `quantizer`\n  --> run.yaml:4:10   stages.0"},
        Fault{"stages: [import, eval]\n",
              "stage `eval` needs `data.eval`\n  --> run.yaml:4:18   stages.1"},
        Fault{"stages: [export]\n",
              "stage `export` needs `export`\n  --> run.yaml:4:10   stages.0"},
        Fault{"stages: [report]\nreport: {html: false}\n",
              "stage `report` has nothing to write\n  --> run.yaml:5:16   report.html"},
        Fault{"stages: [import, qantize]\n",
              "`stages` of the configuration = [import, qantize] has qantize as element 1, which "
              "is not one of {import, "
              "calibrate, train, quantize, eval, export, report}\n  --> run.yaml:4:9   stages"},
        Fault{"data: {eval: {files: []}}\n",
              "`data.eval.files` is empty\n  --> run.yaml:4:22   data.eval.files"},
        Fault{"data: {eval: {files: ['']}}\n",
              "an empty path\n  --> run.yaml:4:23   data.eval.files.0"},
        Fault{"data: {eval: {}}\n",
              "`data.eval` has no `files`\n  --> run.yaml:4:14   data.eval.files"},
        Fault{"data: {eval: {files: [a], protocol: []}}\n",
              "there is no protocol to measure by\n  --> run.yaml:4:37   data.eval.protocol"},
        Fault{"data: {eval: {files: [a], protocol: [ppl_word, ppl_word]}}\n",
              "`ppl_word` stands there twice\n  --> run.yaml:4:48   data.eval.protocol.1"},
        Fault{"data: {eval: {files: [a], ctx: 1}}\n",
              "`ctx` of `data.eval` = 1 is outside [2, 1048576]\n  --> run.yaml:4:32   "
              "data.eval.ctx"},
        Fault{"quantizer: {}\n", "`quantizer` has no `use`\n  --> run.yaml:4:12   quantizer.use"},
        Fault{"quantizer: {use: ''}\n",
              "`quantizer.use` is empty\n  --> run.yaml:4:18   quantizer.use"},
        Fault{"quantizer: {use: a, targets: []}\n",
              "there are no sites to quantize\n  --> run.yaml:4:30   quantizer.targets"},
        Fault{"quantizer: {use: a, targets: [\"re:(\"]}\n",
              "`re:(` is no valid regular expression: missing closing parenthesis at character 2\n "
              " --> run.yaml:4:31   "
              "quantizer.targets.0"},
        Fault{"quantizer: {use: a, skip: [\"*_proj\"]}\n",
              "`*_proj` is no site name\n  --> run.yaml:4:28   quantizer.skip.0"},
        Fault{"quantizer: {use: a, rules: [{match: 're:[', options: {}}]}\n",
              "`re:[` is no valid regular expression: missing terminating ] for character class at "
              "character 2\n  --> "
              "run.yaml:4:37   quantizer.rules.0.match"},
        Fault{"quantizer: {use: a, rules: [{options: {}}]}\n",
              "`quantizer.rules.0` has no `match`\n  --> run.yaml:4:29   quantizer.rules.0.match"},
        Fault{"quantizer: {use: a}\nvariants: [{name: x}, {name: y}, {name: x}]\n",
              "variant `x` stands there twice, first at run.yaml:5:12\n  --> run.yaml:5:41   "
              "variants.2.name"},
        Fault{"quantizer: {use: a}\nvariants: [{name: W4}]\n",
              "`W4` is no name for a variant\n  --> run.yaml:5:19   variants.0.name"},
        Fault{"variants: [{name: x}]\n",
              "variant `x` has no quantizer\n  --> run.yaml:4:12   variants.0"},
        Fault{"quantizer: {use: a}\nvariants: [{name: x, rules: [{match: '+'}]}]\n",
              "`+` is no site name\n  --> run.yaml:5:38   variants.0.rules.0.match"},
        Fault{"export: [{use: gguff, type: Q4_0}]\n",
              "`use` of `export.0` = gguff is not one of {hf-dense, gguf, compressed-tensors}\n  "
              "--> run.yaml:4:16   "
              "export.0.use"},
        Fault{"export: [{use: gguf}]\n",
              "the export `gguf` has no `type`\n  --> run.yaml:4:10   export.0.type"},
        Fault{"export: [{use: hf-dense, type: Q4_0}]\n",
              "`type` has no effect on the export `hf-dense`\n  --> run.yaml:4:32   export.0.type"},
        Fault{"quantizer: {use: a}\nvariants: [{name: w4}]\nexport: [{use: hf-dense, variants: "
              "[w44]}]\n",
              "unknown variant `w44`\n  --> run.yaml:6:37   export.0.variants.0"},
        Fault{"include_: 1\n",
              "unknown key `include_` in the configuration\n  --> run.yaml:4:1   include_"}));

TEST(ReadRunConfig, RefusesAnotherVersionAndSaysNothingElse) {
  const Read newer = read_run("qtk: 2\nname: A B\nunheard: of\n");
  const Read older = read_run("qtk: 0\n");

  EXPECT_EQ(newer.diagnostics.text(),
            "this configuration has schema version 2, this qtk reads version 1\n  --> run.yaml:1:6 "
            "  qtk\n"
            "   install a newer qtk, or write the configuration for version 1");
  EXPECT_TRUE(contains(older.diagnostics.text(), "has schema version 0"));
}

TEST(ReadRunConfig, AsksForTheVersionTheNameAndTheModel) {
  const Read read = read_run("seed: 1\n");

  EXPECT_EQ(read.diagnostics.text(),
            "the configuration has no `qtk`\n  --> run.yaml:1:1   qtk\n   add it:  qtk: 1   "
            "Version of this format.\n"
            "error[config]: the configuration has no `name`\n  --> run.yaml:1:1   name\n"
            "   add it:  name: ...   Name of the run: lower-case letters, digits, `-` and `_`.\n"
            "error[config]: the configuration has no `model`\n  --> run.yaml:1:1   model\n   add "
            "it:  model: ...   The model to work on.");
}

TEST(ReadRunConfig, RefusesNamesThatAreNoFolderEverywhere) {
  for (const char* name : {"A", "a b", "-a", "_a", "a/b", "..", "\xc3\xa9"}) {
    const Read read = read_run("qtk: 1\nname: \"" + std::string(name) + "\"\nmodel: {path: m}\n");
    EXPECT_TRUE(
        contains(read.diagnostics.text(), "is no name for a run\n  --> run.yaml:2:7   name"))
        << name;
  }
  for (const char* name : {"a", "0", "smollm2-w4_g32"})
    EXPECT_TRUE(
        read_run("qtk: 1\nname: " + std::string(name) + "\nmodel: {path: m}\n").diagnostics.ok())
        << name;
}

TEST(ReadRunConfig, WarnsOfSectionsWithoutTheirStage) {
  const Read read =
      read_run(kMinimal + "stages: [import]\nquantizer: {use: a}\nexport: [{use: hf-dense}]\n");

  EXPECT_TRUE(read.diagnostics.ok()) << read.diagnostics.text();
  ASSERT_EQ(read.diagnostics.warnings().size(), 2u);
  EXPECT_EQ(read.diagnostics.warnings()[0].message,
            "`quantizer` has no effect: `stages` does not list `quantize`");
}

TEST(ReadRunConfig, ReportsEightFaultsOfEightKindsInOnePass) {
  const std::string text =
      "qtk: 1\n"
      "name: Bad Name\n"                           // name
      "sed: 1\n"                                   // unknown key
      "threads: 1e3\n"                             // no int
      "determinism: strikt\n"                      // no choice
      "seed: ${nowhere}\n"                         // reference
      "model: {path: m, path: n}\n"                // duplicate
      "data: {eval: {files: [a], windows: -1}}\n"  // range
      "quantizer: {use: a, targets: ['re:(']}\n";  // regular expression

  const Read read = read_run(text);

  const std::string report = read.diagnostics.text();
  EXPECT_EQ(read.diagnostics.errors().size(), 8u) << report;
  for (const char* place : {"2:7", "3:1", "4:10", "5:14", "6:7", "7:18", "8:36", "9:31"})
    EXPECT_TRUE(contains(report, "--> run.yaml:" + std::string(place))) << place << "\n" << report;
}

TEST(ReadRunConfig, SaysNothingOfGapsThatAMissingIncludeLeaves) {
  const Read read = read_run("include: gone.yaml\nseed: x\n");

  EXPECT_EQ(read.diagnostics.errors().size(), 2u) << read.diagnostics.text();
}

TEST(ReadRunConfig, TakesMilliseconds) {
  const std::clock_t start = std::clock();

  for (int i = 0; i < 20; ++i) read_run(kSample);

  EXPECT_LT(static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC / 20, 0.01);
}

TEST(ReadRunConfig, DoesNotWarnOfUnusedSectionsWhenTheStagesCannotBeRead) {
  const Read read = read_run(kMinimal + "stages: [improt]\nquantizer: {use: a}\n");

  EXPECT_TRUE(read.diagnostics.warnings().empty());
}

TEST(QuantizerVariants, LayTheirOptionsOverTheQuantizers) {
  const Read read = read_run(
      kMinimal +
      "quantizer: {use: affine, options: {bits: 4, group: 32}, targets: ['re:.*_proj'], rules: "
      "[{match: lm_head, options: {bits: 8}}]}\n"
      "variants:\n"
      "  - {name: same}\n"
      "  - {name: w3, options: {bits: 3}, rules: []}\n"
      "  - {name: other, use: hestia, options: {tau: 1}}\n");
  ASSERT_TRUE(read.diagnostics.ok()) << read.diagnostics.text();

  const auto variants = quantizer_variants(read.config);

  ASSERT_EQ(variants.size(), 3u);
  EXPECT_EQ(variants[0].quantizer.options.find("bits")->text(), "4");
  EXPECT_EQ(variants[0].quantizer.rules.size(), 1u);
  EXPECT_EQ(variants[1].quantizer.options.find("bits")->text(), "3");
  EXPECT_EQ(variants[1].quantizer.options.find("group")->text(), "32");
  EXPECT_TRUE(variants[1].quantizer.rules.empty());
  EXPECT_EQ(variants[1].quantizer.path, "variants.1");
  EXPECT_EQ(variants[2].quantizer.use, "hestia");
  EXPECT_EQ(variants[2].quantizer.options.find("bits"), nullptr);
  EXPECT_TRUE(variants[2].quantizer.rules.empty());
  EXPECT_EQ(variants[2].quantizer.targets, Texts{"re:.*_proj"});
}

TEST(QuantizerVariants, AreOneWithoutVariantsAndNoneWithoutQuantizer) {
  const auto one = quantizer_variants(read_run(kMinimal + "quantizer: {use: affine}\n").config);

  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(one[0].name, "affine");
  EXPECT_TRUE(quantizer_variants(read_run(kMinimal).config).empty());
}

TEST(CheckFiles, ReportsWhatIsNotThere) {
  Read read = read_run(
      "qtk: 1\nname: a\nmodel: {path: no/model}\nplugins: {path: [.]}\ndata: {eval: {files: "
      "[CMakeLists.txt, gone.txt]}}\n");

  check_files(read.config, read.document, read.diagnostics);

  ASSERT_EQ(read.diagnostics.errors().size(), 2u) << read.diagnostics.text();
  EXPECT_EQ(read.diagnostics.errors()[0].message,
            "`model.path`: there is no file or folder no/model");
  EXPECT_EQ(read.diagnostics.errors()[1].mark, (SourceMark{"run.yaml", 5, 39}));
}

TEST(ResolvedNode, ReproducesTheRunFromAnyFolder) {
  const Read first = read_run(kSample + "", {"seed=99", "name=${quantizer.use}-run"});
  ASSERT_TRUE(first.diagnostics.ok()) << first.diagnostics.text();

  const std::string yaml = to_yaml(resolved_node(first.config));
  const Read second = read_run(yaml);

  EXPECT_TRUE(second.diagnostics.ok()) << second.diagnostics.text() << yaml;
  EXPECT_EQ(to_yaml(resolved_node(second.config)), yaml);
  EXPECT_EQ(second.config.seed, 99);
  EXPECT_EQ(second.config.name, "affine-run");
  const std::string here = std::filesystem::current_path().string();
  EXPECT_EQ(second.config.model.path, here + "/models/small");
  EXPECT_EQ(second.config.data.eval->files[1], here + "/b.txt");
  EXPECT_EQ(second.config.plugins.path[0], here + "/plugins_here");
}

TEST(ResolvedNode, HoldsTheDefaultsOfAMinimalConfiguration) {
  const std::string yaml =
      to_yaml(resolved_node(read_run("qtk: 1\nname: run\nmodel: {path: /m}\n").config));

  EXPECT_TRUE(read_run(yaml).diagnostics.warnings().empty());
  EXPECT_EQ(
      yaml,
      "qtk: 1\nname: run\nseed: 1234\ndevice: auto\ndeterminism: warn\nthreads: 0\nout: runs\n"
      "stages: [import, report]\n"
      "model:\n  path: /m\n  dtype: file\n  import_dtype: f32\n"
      "report:\n  html: true\n");
}

}  // namespace
}  // namespace qtk::config
