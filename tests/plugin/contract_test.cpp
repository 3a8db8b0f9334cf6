// The contract suites find what they are there for: each is run over a plugin that breaks one rule.
#include "plugin_files.hpp"

#include <qtk/testing/config_error.hpp>
#include <qtk/testing/global_state.hpp>
#include <qtk/testing/plugin_under_test.hpp>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace qtk::testing {
namespace {

using Failures =
    std::map<std::string, std::set<std::string>>;  // by fault: names of the tests that fail

/// Runs one suite over all its faulty plugins.
Failures run_suite(const std::string& suite, const std::string& plugin) {
  const std::string command = std::string(QTK_CONTRACT_PROGRAM) +
                              " --gtest_brief=1 --gtest_filter='*/" + suite + ".*' 2>&1";
  FILE* output = ::popen(command.c_str(), "r");
  Failures failures;
  std::string last;
  bool has_ended = false;
  char line[4096];
  while (std::fgets(line, sizeof line, output)) {
    // [  FAILED  ] Faults/<suite>.<test>/<plugin>_fault_<fault>, where GetParam() = ...
    last = line;
    has_ended |= last.starts_with("[==========]") && last.find(" ran.") != last.npos;
    const size_t test = last.find(suite + "."), fault = last.find("/" + plugin + "_fault_");
    if (!last.starts_with("[  FAILED  ] ") || test == last.npos || fault == last.npos) continue;
    const size_t begin = test + suite.size() + 1, name = fault + plugin.size() + 8;
    failures[last.substr(name, last.find_first_of(", ", name) - name)].insert(
        last.substr(begin, fault - begin));
  }
  ::pclose(output);
  EXPECT_TRUE(has_ended) << "the program did not reach its end: " << last;
  return failures;
}

using Expected = std::vector<std::pair<const char*, const char*>>;  // fault, test that finds it

void expect_found(const std::string& suite, const std::string& plugin, const Expected& expected) {
  Failures failures = run_suite(suite, plugin);
  EXPECT_EQ(failures["none"], std::set<std::string>{});
  for (const auto& [fault, test] : expected) {
    EXPECT_TRUE(failures[fault].contains(test)) << suite << " does not find '" << fault << "'";
    EXPECT_LE(failures[fault].size(), 5u) << "'" << fault << "' should not fail everything";
  }
}

TEST(QuantizerContractSuite, FindsEachFaultAndAcceptsASoundPlugin) {
  expect_found(
      "QuantizerContract", "faulty_quantizer",
      {
          {"rounds_on_unpack", "PackedWeightRebuildsTheWeightBitForBit"},
          {"forgets_scales", "StorageBitsAreThoseOfThePackedTensors"},
          {"counts_calls", "EqualInputsGiveEqualBits"},
          {"adds_offset", "ForwardIsTheLinearMapOfItsWeight"},
          {"forgets_bias", "BiasIsAddedOnce"},
          {"reads_as_contiguous", "StridedInputGivesTheSameOutput"},
          {"flattens", "LeadingDimensionsAreKept"},
          {"writes_input", "InputsAreLeftAlone"},
          {"treats_half_otherwise", "HalfPrecisionWeightCountsAsItsValuesInSinglePrecision"},
          {"trusts_files", "DamagedPackedTensorsAreRefused"},
          {"stops_gradient", "GradientReachesEveryTrainableTensor"},
          {"forgets_state", "SavedStateContinuesWhereItWas"},
          {"changes_threads", "ProcessStateIsLeftAlone"},
          {"ignores_option", "EveryOptionMatters"},
      });
}

TEST(SchedulerContractSuite, FindsEachFaultAndAcceptsASoundPlugin) {
  expect_found("SchedulerContract", "faulty_scheduler",
               {
                   {"repeats_knob", "KnobsHaveDifferentNames"},
                   {"divides_by_zero", "EveryValueIsFinite"},
                   {"counts_calls", "ValueDependsOnTheStepAndNotOnEarlierCalls"},
                   {"accepts_any_knob", "UnknownKnobIsRefused"},
                   {"changes_locale", "ProcessStateIsLeftAlone"},
                   {"ignores_option", "EveryOptionMatters"},
               });
}

TEST(CompressorContractSuite, FindsEachFaultAndAcceptsASoundPlugin) {
  expect_found("CompressorContract", "faulty_comm",
               {
                   {"forgets_dtype", "DecodedTensorHasShapeAndDtypeOfTheOriginal"},
                   {"loses_precision", "ErrorIsBounded"},
                   {"divides_by_norm", "FiniteInputStaysFinite"},
                   {"counts_calls", "EqualInputsGiveEqualBytes"},
                   {"leaves_padding", "EveryByteOfTheMessageIsWritten"},
                   {"reads_as_contiguous", "StridedInputGivesTheSameBytes"},
                   {"writes_input", "InputIsLeftAlone"},
                   {"forgets_state", "SavedStateContinuesWhereItWas"},
                   {"changes_threads", "ProcessStateIsLeftAlone"},
                   {"ignores_option", "EveryOptionMatters"},
               });
}

TEST(PluginUnderTestMake, ReadsOptionsOfEveryType) {
  const auto rtn = make<WeightOnlyQuantizer>(
      "rtn", "{bits: 3, group_size: 32, symmetric: false, scale_rule: mse}");

  const Quantized q = rtn->quantize(gaussian({4, 64}, 1));

  EXPECT_EQ(q.bits, 3);
  EXPECT_TRUE(q.zeros.defined());
  EXPECT_EQ(q.scales.numel(), 8);
}

TEST(ConfigErrorMacro, PassesOnlyForAConfigErrorWithTheText) {
  EXPECT_CONFIG_ERROR("rtn", "{bits: 9}", "is outside [2, 8]");
  EXPECT_CONFIG_ERROR("rtn", "{group_size: 48}", "is not one of {32, 64, 128, 256}");
  EXPECT_CONFIG_ERROR("rtn", "{bitz: 4}", "unknown option");
  EXPECT_CONFIG_ERROR("rtn", "{bits: many}", "bits");
  EXPECT_FALSE(is_config_error("rtn", "{bits: 9}", "something else"));
  EXPECT_FALSE(is_config_error("rtn", "{bits: 4}", ""));
  EXPECT_FALSE(is_config_error("no_such_plugin", "{}", ""));
  EXPECT_FALSE(is_config_error("throws_in_constructor", "{}", ""));
}

TEST(PluginUnderTestMake, ObjectOfAnotherClassIsRefused) {
  EXPECT_THROW(make<WeightOnlyQuantizer>("faulty_quantizer"), Error);
}

TEST(Gaussian, DependsOnTheSeedOnly) {
  EXPECT_TRUE(at::equal(gaussian({3, 4}, 1), gaussian({3, 4}, 1)));
  EXPECT_FALSE(at::equal(gaussian({3, 4}, 1), gaussian({3, 4}, 2)));
}

TEST(GlobalState, NamesWhatChanged) {
  const GlobalState before;
  EXPECT_EQ(before.changes(), "");

  at::rand({1});
  const at::NoGradGuard no_grad;

  EXPECT_EQ(before.changes(), "the gradient or inference mode, the random generator");
}

}  // namespace
}  // namespace qtk::testing
