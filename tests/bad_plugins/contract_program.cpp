// The contract suites over plugins that break one rule each, named by their option `fault`.
// tests/plugin runs this program and expects that each fault fails the test of its rule.
#include <qtk/testing/compressor_contract.hpp>
#include <qtk/testing/quantizer_contract.hpp>
#include <qtk/testing/scheduler_contract.hpp>

#include <string>
#include <vector>

namespace qtk::testing {

auto faulty(const char* id, std::initializer_list<const char*> faults) {
  std::vector<ContractSubject> subjects;
  for (const char* fault : faults)
    subjects.push_back({.id = id,
                        .options = "{fault: " + std::string(fault) + "}",
                        .tested_elsewhere = {{"fault", "here"}},
                        .in_features = 64,
                        .relative_error = 0.05});
  return ::testing::ValuesIn(subjects);
}

constexpr auto name_of_test = [](const auto& given) { return name_of(given.param); };

INSTANTIATE_TEST_SUITE_P(Faults, QuantizerContract,
                         faulty("faulty_quantizer",
                                {"none", "rounds_on_unpack", "forgets_scales", "counts_calls",
                                 "adds_offset", "forgets_bias", "reads_as_contiguous", "flattens",
                                 "writes_input", "treats_half_otherwise", "trusts_files",
                                 "stops_gradient", "forgets_state", "changes_threads",
                                 "ignores_option"}),
                         name_of_test);

INSTANTIATE_TEST_SUITE_P(Faults, SchedulerContract,
                         faulty("faulty_scheduler",
                                {"none", "repeats_knob", "divides_by_zero", "counts_calls",
                                 "accepts_any_knob", "changes_locale", "ignores_option"}),
                         name_of_test);

INSTANTIATE_TEST_SUITE_P(
    Faults, CompressorContract,
    faulty("faulty_comm", {"none", "forgets_dtype", "loses_precision", "divides_by_norm",
                           "counts_calls", "leaves_padding", "reads_as_contiguous", "writes_input",
                           "forgets_state", "changes_threads", "ignores_option"}),
    name_of_test);

}  // namespace qtk::testing
