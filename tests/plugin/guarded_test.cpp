#include "plugin/guarded.hpp"

#include "plugin_files.hpp"

#include <c10/util/Exception.h>
#include <gtest/gtest.h>

namespace qtk::plugin {
namespace {

const PluginName kName{"quantizer", "vq", "/x.so"};

template <class Thrown>
auto throwing(Thrown thrown) {
  return [thrown]() -> int { throw thrown; };
}

TEST(Guarded, ReturnsWhatTheFunctionReturns) {
  int value = 3;

  EXPECT_EQ(guarded(kName, "forward", [] { return 7; }), 7);
  EXPECT_EQ(&guarded(kName, "forward", [&]() -> int& { return value; }), &value);
}

TEST(Guarded, ErrorsKeepTheirClassCodeAndRemedy) {
  try {
    guarded(kName, "unpack", throwing(DataError("codes are missing", "fetch the model again")));
    FAIL();
  } catch (const DataError& error) {
    EXPECT_STREQ(error.what(), "plugin 'vq' (quantizer), unpack: codes are missing");
    EXPECT_EQ(error.remedy(), "fetch the model again");
  }
  EXPECT_THROW(guarded(kName, "attach", throwing(ConfigError("x"))), ConfigError);
  EXPECT_THROW(guarded(kName, "attach", throwing(IoError("x"))), IoError);
  EXPECT_THROW(guarded(kName, "attach", throwing(PluginError("x"))), PluginError);
}

TEST(Guarded, CodesOfOtherFamiliesSurvive) {
  const auto code_of = [](auto function) {
    try {
      guarded(kName, "forward", function);
    } catch (const Error& error) {
      return error.code();
    }
    return ExitCode::kOk;
  };

  EXPECT_EQ(code_of(throwing(Error("nan", "", ExitCode::kDiverged))), ExitCode::kDiverged);
  EXPECT_EQ(code_of(throwing(std::bad_alloc())), ExitCode::kMemory);
  EXPECT_EQ(code_of([]() -> int {
              TORCH_CHECK_WITH(OutOfMemoryError, false, "tried to allocate 2 GiB");
            }),
            ExitCode::kMemory);
  EXPECT_EQ(code_of(throwing(std::runtime_error("x"))), ExitCode::kFailed);
  EXPECT_EQ(code_of(throwing(5)), ExitCode::kFailed);
}

TEST(Guarded, LibTorchsBacktraceIsLeftOut) {
  const std::string text = sentence_of<Error>(
      [] { guarded(kName, "forward", []() -> int { TORCH_CHECK(false, "shapes differ"); }); });

  EXPECT_EQ(text, "plugin 'vq' (quantizer), forward: shapes differ");
}

TEST(Guarded, PluginIsNamedOnce) {
  const std::string text = sentence_of<Error>([] {
    guarded(kName, "attach",
            [] { return guarded(kName, "quantize", throwing(std::runtime_error("inner"))); });
  });

  EXPECT_EQ(text, "plugin 'vq' (quantizer), quantize: inner");
}

}  // namespace
}  // namespace qtk::plugin
