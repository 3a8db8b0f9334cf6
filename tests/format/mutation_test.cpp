// Random damage: whatever the bytes, a reader either reads or throws DataError. Run with a
// sanitizer it also shows that nothing outside the mapping is touched.
#include "format/gguf.hpp"
#include "format_fixtures.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <random>

namespace qtk::format {
namespace {

class Mutator {
 public:
  explicit Mutator(std::string original) : original_(std::move(original)) {}

  std::string next() {
    std::string bytes = original_;
    const int changes = 1 + below(6);
    for (int i = 0; i < changes; ++i) change(bytes);
    return bytes;
  }

 private:
  int below(size_t bound) { return static_cast<int>(random_() % bound); }

  void change(std::string& bytes) {
    if (bytes.empty()) return;
    // Most of the structure stands at the front, so half of the changes go there.
    const size_t place = static_cast<size_t>(
        below(below(2) == 0 ? std::min<size_t>(bytes.size(), 900) : bytes.size()));
    const size_t run = std::min<size_t>(bytes.size() - place, static_cast<size_t>(1 + below(16)));
    switch (below(7)) {
      case 0:
        bytes[place] = static_cast<char>(below(256));
        break;
      case 1:
        bytes[place] = static_cast<char>(bytes[place] ^ (1 << below(8)));
        break;
      case 2:
        bytes.erase(place, run);
        break;
      case 3:
        bytes.insert(place, bytes.substr(static_cast<size_t>(below(bytes.size())), run));
        break;
      case 4:
        std::fill_n(bytes.begin() + static_cast<long>(place), run, '\0');
        break;
      case 5:
        std::fill_n(bytes.begin() + static_cast<long>(place), run, '\xff');
        break;
      default:
        bytes.resize(place);
        break;
    }
  }

  std::string original_;
  std::mt19937_64 random_{7};
};

struct Outcome {
  int read = 0;
  int refused = 0;
};

template <class Read>
Outcome mutate(const std::string& name, int rounds, Read read) {
  TemporaryFolder scratch;
  Mutator mutator(read_bytes(golden(name)));
  Outcome outcome;
  for (int round = 0; round < rounds; ++round) {
    SCOPED_TRACE(round);
    const auto path = write_bytes(scratch / "mutant", mutator.next());
    try {
      read(path);
      ++outcome.read;
    } catch (const DataError&) {
      ++outcome.refused;
    } catch (const std::exception& error) {
      ADD_FAILURE() << "round " << round << ": " << error.what();
    }
  }
  return outcome;
}

TEST(Mutation, SafetensorsFilesReadOrAreRefused) {
  const auto outcome = mutate("dtypes.safetensors", 4000, [](const auto& path) {
    const auto file = SafetensorsFile::open(path);
    for (const auto& tensor : file.tensors()) file.tensor(tensor.name).to(at::kDouble).sum();
  });

  EXPECT_GT(outcome.read, 20);
  EXPECT_GT(outcome.refused, 2000);
}

TEST(Mutation, GgufFilesReadOrAreRefused) {
  const auto outcome = mutate("small.gguf", 4000, [](const auto& path) {
    const auto file = GgufFile::open(path);
    for (const auto& tensor : file.tensors()) {
      file.tensor(tensor.name).sum();
      if (tensor.type->dequantize) file.dequantize(tensor.name).sum();
    }
  });

  EXPECT_GT(outcome.read, 200);
  EXPECT_GT(outcome.refused, 1000);
}

TEST(Mutation, IndexesReadOrAreRefused) {
  TemporaryFolder folder;
  for (const auto& entry : std::filesystem::directory_iterator(golden("sharded")))
    std::filesystem::copy_file(entry.path(), folder.path() / entry.path().filename());

  const auto outcome = mutate("sharded/model.safetensors.index.json", 1000, [&](const auto& path) {
    std::filesystem::rename(path, folder / "model.safetensors.index.json");
    TensorFolder::open(folder.path());
  });

  EXPECT_GT(outcome.refused, 500);
}

}  // namespace
}  // namespace qtk::format
