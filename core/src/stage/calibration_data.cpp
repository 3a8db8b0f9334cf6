#include "stage/calibration_data.hpp"

#include "base/hash.hpp"
#include "text/corpus.hpp"
#include "text/windows.hpp"

#include <qtk/runtime/error.hpp>
#include <qtk/runtime/random.hpp>

#include <ATen/ATen.h>

#include <numeric>

namespace qtk::stage {
namespace {

/// Files joined by blank lines, or the documents of JSONL files with EOS after each.
std::vector<int32_t> token_stream(const config::CalibData& data, const text::Tokenizer& tokenizer) {
  const bool is_jsonl = data.format == "jsonl";
  std::vector<int32_t> stream;
  if (!is_jsonl) {
    std::string joined;
    for (const auto& file : data.files)
      joined += (joined.empty() ? "" : "\n\n") + text::read_text(file);
    return tokenizer.encode(joined);
  }
  for (const auto& file : data.files)
    text::visit_documents({.path = file, .format = text::CorpusFormat::kJsonl, .field = data.field},
                          [&](std::string_view document) {
                            const auto ids = tokenizer.encode(document);
                            stream.insert(stream.end(), ids.begin(), ids.end());
                            if (const auto eos = tokenizer.eos()) stream.push_back(*eos);
                          });
  return stream;
}

/// `count` different numbers below `total`, in the order drawn (the first steps of a Fisher-Yates
/// shuffle).
std::vector<int64_t> choose(int64_t total, int64_t count, int64_t seed) {
  std::vector<int64_t> numbers(static_cast<size_t>(total));
  std::iota(numbers.begin(), numbers.end(), 0);
  RandomStream random({.seed = static_cast<uint64_t>(seed), .purpose = "calibration.windows"});
  for (int64_t i = 0; i < count; ++i) {
    const auto other = i + static_cast<int64_t>(random.below(static_cast<uint64_t>(total - i)));
    std::swap(numbers[static_cast<size_t>(i)], numbers[static_cast<size_t>(other)]);
  }
  numbers.resize(static_cast<size_t>(count));
  return numbers;
}

}  // namespace

CalibrationData read_calibration(const config::CalibData& data, const text::Tokenizer& tokenizer) {
  const auto stream = token_stream(data, tokenizer);
  const text::TokenWindows windows(text::id_tensor(stream), data.ctx);
  const int64_t needed = data.batches * data.batch_size;
  if (windows.count() < needed)
    throw DataError("the calibration texts have " + std::to_string(stream.size()) + " tokens, " +
                        std::to_string(windows.count()) + " samples of " +
                        std::to_string(data.ctx) + "; expected " + std::to_string(needed),
                    "give more text in data.calib.files, or fewer batches or a smaller ctx");
  const auto chosen = choose(windows.count(), needed, data.seed);
  CalibrationData result;
  std::string bytes;
  for (int64_t batch = 0; batch < data.batches; ++batch) {
    const auto first = chosen.begin() + batch * data.batch_size;
    result.batches.push_back(
        windows.gather(std::vector<int64_t>(first, first + data.batch_size)).contiguous());
    const auto& ids = result.batches.back();
    bytes.append(static_cast<const char*>(ids.const_data_ptr()), ids.nbytes());
  }
  result.fingerprint = fingerprint(bytes);
  return result;
}

}  // namespace qtk::stage
