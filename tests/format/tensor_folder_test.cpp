#include "format/safetensors.hpp"
#include "format_fixtures.hpp"

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

namespace qtk::format {
namespace {

namespace fs = std::filesystem;

const char* const kFirst = "model-00001-of-00002.safetensors";
const char* const kSecond = "model-00002-of-00002.safetensors";
const char* const kIndex = "model.safetensors.index.json";

/// A copy of the golden sharded folder, to be damaged.
class ShardedFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const auto& entry : fs::directory_iterator(golden("sharded")))
      fs::copy_file(entry.path(), scratch_.path() / entry.path().filename());
  }
  void write_index(const std::string& weight_map) {
    write_bytes(scratch_ / kIndex, "{\"metadata\":{},\"weight_map\":" + weight_map + "}");
  }
  std::string fault() {
    return message_of([&] { TensorFolder::open(scratch_.path()); });
  }

  TemporaryFolder scratch_;
};

TEST_F(ShardedFolder, ReadsTensorsOfAllShards) {
  const auto folder = TensorFolder::open(scratch_.path());

  EXPECT_EQ(folder.tensors().size(), 3u);
  EXPECT_TRUE(folder.tensor("a").equal(at::full({3}, 1.0f)));
  EXPECT_TRUE(folder.tensor("b").equal(at::full({2, 2}, 2.0f)));
  EXPECT_TRUE(folder.tensor("c").equal(at::full({4}, 3.0f)));
  EXPECT_EQ(folder.info("b").shape, (std::vector<int64_t>{2, 2}));
  EXPECT_TRUE(folder.has("c"));
  EXPECT_FALSE(folder.has("d"));
  EXPECT_EQ(folder.file_bytes(), static_cast<int64_t>(fs::file_size(scratch_ / kFirst) +
                                                      fs::file_size(scratch_ / kSecond)));
}

TEST_F(ShardedFolder, NamesAnUnknownTensor) {
  const auto folder = TensorFolder::open(scratch_.path());

  expect_contains(message_of([&] { folder.tensor("model.embed"); }), "has no tensor 'model.embed'");
}

TEST_F(ShardedFolder, PrefersTheSingleFile) {
  write_tensor_folder(scratch_ / "other", {{"only", at::kFloat, {1}}},
                      [](const TensorInfo&) { return at::zeros({1}); });
  fs::copy_file(scratch_ / "other/model.safetensors", scratch_ / "model.safetensors");

  EXPECT_TRUE(TensorFolder::open(scratch_.path()).has("only"));
}

TEST_F(ShardedFolder, NamesMissingShards) {
  fs::remove(scratch_ / kSecond);

  expect_contains(fault(),
                  std::string("1 of 2 shards named by ") + kIndex + " are missing: " + kSecond);
}

TEST_F(ShardedFolder, RefusesShardsAndIndexThatDisagree) {
  const std::string first = kFirst, second = kSecond;

  write_index("{\"a\":\"" + first + "\",\"b\":\"" + first + "\",\"c\":\"" + second + "\",\"d\":\"" +
              second + "\"}");
  expect_contains(fault(), "expects the tensor 'd' in " + second + ", which does not hold it");
  write_index("{\"a\":\"" + first + "\",\"c\":\"" + second + "\"}");
  expect_contains(fault(), "tensor 'b' is in " + first + ", but " + kIndex + " does not name it");
  write_index("{\"a\":\"" + first + "\",\"b\":\"" + second + "\",\"c\":\"" + second + "\"}");
  expect_contains(fault(),
                  "tensor 'b' is in " + first + ", but " + kIndex + " expects it in " + second);
}

TEST_F(ShardedFolder, RefusesATensorThatIsInTwoShards) {
  fs::copy_file(scratch_ / kFirst, scratch_ / kSecond, fs::copy_options::overwrite_existing);

  expect_contains(fault(), std::string("is in ") + kFirst + " and in " + kSecond);
}

TEST_F(ShardedFolder, RefusesIndexesThatAreWrongOrLeaveTheFolder) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"{\"a\":\"../other.safetensors\"}",
       "names '../other.safetensors', expected a file name without folders"},
      {"{\"a\":\"/etc/passwd\"}", "expected a file name without folders"},
      {"{\"a\":\"..\"}", "expected a file name without folders"},
      {"{\"a\":\"\"}", "expected a file name without folders"},
      {"{\"a\":1}", "weight_map 'a' is not text"},
      {"{}", "weight_map names no tensor"},
      {"[]", "expected an object with the object 'weight_map'"},
      {"{\"a\":\"x\",\"a\":\"y\"}", "has the key 'a' twice"},
      {"{", "is not valid JSON"},
  };
  for (const auto& [weight_map, message] : cases) {
    SCOPED_TRACE(weight_map);
    write_index(weight_map);
    expect_contains(fault(), message);
    expect_contains(fault(), kIndex);
  }
}

TEST(TensorFolder, SaysWhatAFolderWithoutWeightsHolds) {
  TemporaryFolder scratch;
  const auto fault = [&](const fs::path& path) {
    return message_of([&] { TensorFolder::open(path); });
  };

  expect_contains(fault(scratch / "absent"), "absent is not a folder");
  expect_contains(fault(scratch.path()),
                  "holds neither model.safetensors nor model.safetensors.index.json");
  write_bytes(scratch / "adapter.safetensors", "x");
  expect_contains(fault(scratch.path()), "only adapter.safetensors");
  write_bytes(scratch / "pytorch_model.bin", "x");
  write_bytes(scratch / "consolidated.00.pth", "x");
  expect_contains(fault(scratch.path()),
                  "Python pickles only (consolidated.00.pth, pytorch_model.bin)");
}

at::Tensor tensor_for(const TensorInfo& info) {
  return at::full(info.shape, static_cast<double>(info.name.back()), info.dtype);
}

TEST(WriteTensorFolder, WritesOneFileWhenAllFits) {
  TemporaryFolder scratch;
  const std::vector<TensorInfo> tensors = {{"m.a", at::kFloat, {4}},
                                           {"m.b", at::kBFloat16, {2, 3}}};

  const auto files = write_tensor_folder(scratch / "out", tensors, tensor_for);

  EXPECT_EQ(files, std::vector<fs::path>{scratch / "out/model.safetensors"});
  const auto folder = TensorFolder::open(scratch / "out");
  EXPECT_TRUE(folder.tensor("m.a").equal(at::full({4}, 97.0f)));
  EXPECT_TRUE(folder.tensor("m.b").equal(at::full({2, 3}, 98.0, at::kBFloat16)));
  EXPECT_EQ(SafetensorsFile::open(scratch / "out/model.safetensors").metadata().at("format"), "pt");
}

TEST(WriteTensorFolder, SplitsIntoShardsWithAnIndexThatItsReaderAccepts) {
  TemporaryFolder scratch;
  const std::vector<TensorInfo> tensors = {{"m.a", at::kFloat, {10}},
                                           {"m.b", at::kFloat, {10}},
                                           {"m.c", at::kFloat, {100}},
                                           {"m.d", at::kFloat, {1}}};

  const auto files = write_tensor_folder(scratch.path(), tensors, tensor_for, {.shard_bytes = 80});

  EXPECT_EQ(files_in(scratch.path()),
            (std::vector<std::string>{"model-00001-of-00003.safetensors",
                                      "model-00002-of-00003.safetensors",
                                      "model-00003-of-00003.safetensors", kIndex}));
  EXPECT_EQ(files.size(), 4u);
  const auto index = nlohmann::json::parse(read_bytes(scratch / kIndex));
  EXPECT_EQ(index["metadata"]["total_size"], 4 * 121);
  EXPECT_EQ(index["weight_map"]["m.b"], "model-00001-of-00003.safetensors");
  EXPECT_EQ(index["weight_map"]["m.c"], "model-00002-of-00003.safetensors");
  const auto folder = TensorFolder::open(scratch.path());
  for (const auto& info : tensors)
    EXPECT_TRUE(folder.tensor(info.name).equal(tensor_for(info))) << info.name;
}

TEST(WriteTensorFolder, PutsWiderDtypesFirstSoThatAllAreAligned) {
  TemporaryFolder scratch;
  const std::vector<TensorInfo> tensors = {
      {"a", at::kChar, {3}}, {"b", at::kHalf, {3}}, {"c", at::kLong, {1}}, {"d", at::kFloat, {1}}};
  std::string order;

  write_tensor_folder(scratch.path(), tensors, [&](const TensorInfo& info) {
    order += info.name;
    return tensor_for(info);
  });

  EXPECT_EQ(order, "cdba");
  const auto file = SafetensorsFile::open(scratch / "model.safetensors");
  for (const auto& info : tensors)  // a copy would lie elsewhere each time
    EXPECT_EQ(file.tensor(info.name).const_data_ptr(), file.tensor(info.name).const_data_ptr())
        << info.name;
}

TEST(WriteTensorFolder, OverwritesItsOwnLayoutAndRefusesAnother) {
  TemporaryFolder scratch;
  const std::vector<TensorInfo> tensors = {{"a", at::kFloat, {10}}, {"b", at::kFloat, {10}}};
  write_tensor_folder(scratch.path(), tensors, tensor_for, {.shard_bytes = 40});

  EXPECT_NO_THROW(write_tensor_folder(scratch.path(), tensors, tensor_for, {.shard_bytes = 40}));
  expect_contains(message_of([&] { write_tensor_folder(scratch.path(), tensors, tensor_for); }),
                  "already holds weights of another layout: model-00001-of-00002.safetensors");
  EXPECT_NO_THROW(TensorFolder::open(scratch.path()));
}

TEST(WriteTensorFolder, AnInterruptedExportIsNotTakenForAWholeOne) {
  TemporaryFolder scratch;
  const std::vector<TensorInfo> tensors = {{"a", at::kFloat, {10}}, {"b", at::kFloat, {10}}};
  write_tensor_folder(scratch.path(), tensors, tensor_for, {.shard_bytes = 40});
  const auto stop_at_b = [](const TensorInfo& info) {
    if (info.name == "b") throw Error("interrupted");
    return tensor_for(info);
  };

  EXPECT_THROW(write_tensor_folder(scratch.path(), tensors, stop_at_b, {.shard_bytes = 40}), Error);

  EXPECT_THROW(TensorFolder::open(scratch.path()), DataError);
}

TEST(WriteTensorFolder, RefusesOneNameInTwoShards) {
  TemporaryFolder scratch;

  expect_contains(message_of<Error>([&] {
                    write_tensor_folder(scratch.path(),
                                        {{"a", at::kFloat, {9}}, {"a", at::kFloat, {9}}},
                                        tensor_for, {.shard_bytes = 8});
                  }),
                  "'a' is used twice");
}

}  // namespace
}  // namespace qtk::format
