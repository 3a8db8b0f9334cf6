// A plugin under a contract suite:
//
//   QTK_INSTANTIATE_CONTRACT(QuantizerContract, "rtn");
//   QTK_INSTANTIATE_CONTRACT(QuantizerContract, {.id = "vq", .options = "{beam: 1}", .in_features =
//   512});
//
// Write it at the top level of one source file of a test program.
#pragma once

#include <gtest/gtest.h>

#include <cctype>
#include <cstdint>
#include <map>
#include <ostream>
#include <string>

namespace qtk::testing {

struct ContractSubject {
  std::string id;
  std::string options = "{}";  // over the defaults, in every test
  /// Options that no contract can see at work -> the test that does. Every other option must change
  /// some result.
  std::map<std::string, std::string> tested_elsewhere = {};
  /// Options that need others to matter -> those: {"shared_zero", "{symmetric: false}"}.
  std::map<std::string, std::string> matters_with = {};

  // Quantizers
  int64_t out_features = 32;
  int64_t in_features = 256;
  /// Largest |forward(x) - linear(x, weight())| relative to the largest output. Methods that also
  /// quantize x need more.
  double forward_tolerance = 1e-5;
  std::map<std::string, double> knobs = {};  // set before every training step

  // Compressors
  double relative_error = 1.0;  // largest |decode(encode(x)) - x| / |x|, over the whole tensor
};

inline ContractSubject subject(const char* id) { return {.id = id}; }
inline ContractSubject subject(ContractSubject given) { return given; }

inline void PrintTo(const ContractSubject& subject, std::ostream* out) {
  *out << subject.id << " " << subject.options;
}

/// "rtn", or "rtn_bits_3" with options {bits: 3}.
inline std::string name_of(const ContractSubject& subject) {
  std::string name = subject.id;
  for (const char c : subject.options)
    if (std::isalnum(static_cast<unsigned char>(c)))
      name += c;
    else if (name.back() != '_')
      name += '_';
  return name.substr(0, name.find_last_not_of('_') + 1);
}

}  // namespace qtk::testing

#define QTK_DETAIL_CONTRACT(Suite, line, ...)                                          \
  namespace qtk::testing {                                                             \
  INSTANTIATE_TEST_SUITE_P(Line##line, Suite, ::testing::Values(subject(__VA_ARGS__)), \
                           [](const auto& given) { return name_of(given.param); });    \
  }                                                                                    \
  static_assert(true)
#define QTK_DETAIL_CONTRACT_AT(Suite, line, ...) QTK_DETAIL_CONTRACT(Suite, line, __VA_ARGS__)
#define QTK_INSTANTIATE_CONTRACT(Suite, ...) QTK_DETAIL_CONTRACT_AT(Suite, __LINE__, __VA_ARGS__)
