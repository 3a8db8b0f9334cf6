// A disk that fills up while a file is written: RLIMIT_FSIZE makes write() fail as a quota does.
#include "format/gguf.hpp"
#include "format_fixtures.hpp"

#include <ATen/ATen.h>
#include <sys/resource.h>

#include <csignal>

namespace qtk::format {
namespace {

/// No file of this process may grow beyond `bytes` while this lives.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &previous_);
    handler_ = std::signal(SIGXFSZ, SIG_IGN);  // its default ends the process
    const rlimit limit{bytes, previous_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &previous_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit previous_{};
  void (*handler_)(int) = nullptr;
};

constexpr int64_t kWeights = 100'000;

void write_safetensors(const std::filesystem::path& path) {
  SafetensorsWriter writer(path, {{"a", at::kFloat, {kWeights}}});
  writer.write("a", at::zeros({kWeights}));
  writer.commit();
}

void write_gguf(const std::filesystem::path& path) {
  GgufWriter writer(path, {}, {{"a", &ggml_type("F32"), {kWeights}}});
  writer.write("a", at::zeros({kWeights}));
  writer.commit();
}

TEST(WriteFault, AFullDiskIsAnIoErrorThatLeavesNoFile) {
  for (const auto write : {write_safetensors, write_gguf})
    for (const rlim_t limit : {0, 10, 4096, 300'000}) {
      SCOPED_TRACE(limit);
      TemporaryFolder scratch;
      std::string message;
      {
        const FileSizeLimit full(limit);
        message = message_of<IoError>([&] { write(scratch / "model"); });
      }

      expect_contains(message, "cannot write " + (scratch / "model").string() + ": File too large");
      EXPECT_TRUE(files_in(scratch.path()).empty());
    }
}

TEST(WriteFault, AFullDiskKeepsTheOldFile) {
  for (const auto write : {write_safetensors, write_gguf}) {
    TemporaryFolder scratch;
    write(scratch / "model");
    const auto before = read_bytes(scratch / "model");
    {
      const FileSizeLimit full(4096);
      EXPECT_THROW(write(scratch / "model"), IoError);
    }

    EXPECT_EQ(files_in(scratch.path()), std::vector<std::string>{"model"});
    EXPECT_EQ(read_bytes(scratch / "model"), before);
  }
}

TEST(WriteFault, AFolderWhoseSecondShardFailsHasNoIndex) {
  TemporaryFolder scratch;
  const std::vector<TensorInfo> tensors = {{"a", at::kFloat, {10}}, {"b", at::kFloat, {kWeights}}};
  {
    const FileSizeLimit full(4096);
    EXPECT_THROW(write_tensor_folder(scratch.path(), tensors,
                                     [](const TensorInfo& info) { return at::zeros(info.shape); },
                                     {.shard_bytes = 64}),
                 IoError);
  }

  EXPECT_EQ(files_in(scratch.path()), std::vector<std::string>{"model-00001-of-00002.safetensors"});
  EXPECT_THROW(TensorFolder::open(scratch.path()), DataError);
}

TEST(WriteFault, AFolderThatCannotBeMadeIsAnIoError) {
  TemporaryFolder scratch;
  write_bytes(scratch / "file", "x");

  expect_contains(message_of<IoError>([&] { write_safetensors(scratch / "file/model"); }),
                  "cannot create the folder");
}

}  // namespace
}  // namespace qtk::format
