#include "format/safetensors.hpp"

#include "format_fixtures.hpp"

#include <ATen/ATen.h>

namespace qtk::format {
namespace {

at::Tensor ramp() { return at::arange(6, at::kLong).reshape({2, 3}); }

TEST(SafetensorsFile, ReadsEveryDtypeOfTheReferenceWriter) {
  const auto file = SafetensorsFile::open(golden("dtypes.safetensors"));

  EXPECT_EQ(file.tensors().size(), 14u);
  const auto expect = [&](const char* name, const at::Tensor& expected) {
    expect_same_bits(file.tensor(name), expected, name);
  };
  expect("bool", ramp() % 2 == 1);
  expect("u8", (ramp() + 250).to(at::kByte));
  expect("i8", (ramp() - 3).to(at::kChar));
  expect("f8_e4m3", (ramp() * 0.5).to(at::kFloat8_e4m3fn));
  expect("f8_e5m2", (ramp() * 0.5).to(at::kFloat8_e5m2));
  expect("i16", (ramp() - 300).to(at::kShort));
  expect("f16", (ramp() * 0.25).to(at::kHalf));
  expect("bf16", (ramp() * -0.25).to(at::kBFloat16));
  expect("i32", (ramp() - 70000).to(at::kInt));
  expect("f32", ramp() * 0.1);
  expect("i64", ramp() - (int64_t{1} << 40));
  expect("f64", ramp().to(at::kDouble) * 0.1);
  expect("scalar", at::scalar_tensor(7.0f));
  expect("empty", at::zeros({0, 5}));
}

TEST(SafetensorsFile, GivesNamesShapesAndMetadata) {
  const auto file = SafetensorsFile::open(golden("dtypes.safetensors"));

  EXPECT_EQ(file.metadata().at("note"), "caf\xc3\xa9 \"quoted\"");
  EXPECT_TRUE(file.has("bf16"));
  EXPECT_FALSE(file.has("bf1"));
  EXPECT_EQ(file.info("f32").shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(file.info("f8_e5m2").dtype, at::kFloat8_e5m2);
  EXPECT_TRUE(file.info("scalar").shape.empty());
}

TEST(SafetensorsFile, SuggestsTheNearestNameForAnUnknownOne) {
  const auto file = SafetensorsFile::open(golden("dtypes.safetensors"));

  try {
    file.tensor("f8_e4m4");
    FAIL();
  } catch (const DataError& error) {
    expect_contains(error.what(), "dtypes.safetensors has no tensor 'f8_e4m4'");
    EXPECT_EQ(error.remedy(), "did you mean 'f8_e4m3'?");
  }
}

TEST(SafetensorsFile, AliasesTheMappingWhichOutlivesTheFile) {
  TemporaryFolder scratch;
  at::Tensor tensor;
  {
    SafetensorsWriter writer(scratch / "a.safetensors", {{"a", at::kFloat, {1000}}});
    writer.write("a", at::arange(1000, at::kFloat));
    writer.commit();
    const auto file = SafetensorsFile::open(scratch / "a.safetensors");
    tensor = file.tensor("a");
    EXPECT_EQ(tensor.const_data_ptr(), file.tensor("a").const_data_ptr());
  }

  EXPECT_TRUE(tensor.equal(at::arange(1000, at::kFloat)));
}

TEST(SafetensorsFile, CopiesWhatTheFilePlacesAtOddAddresses) {
  TemporaryFolder scratch;
  const auto values = at::tensor({1.5f, -2.5f});
  std::string bytes = safetensors_bytes(R"({"a":{"dtype":"I8","shape":[3],"data_offsets":[0,3]},)"
                                        R"("b":{"dtype":"F32","shape":[2],"data_offsets":[3,11]}})",
                                        3);
  bytes.append(static_cast<const char*>(values.const_data_ptr()), 8);

  for (int shift = 0; shift < 4; ++shift) {  // blanks after the JSON move the data
    auto shifted = bytes;
    shifted.insert(bytes.size() - 11, static_cast<size_t>(shift), ' ');
    shifted[0] = static_cast<char>(shifted[0] + shift);
    const auto file = SafetensorsFile::open(write_bytes(scratch / "odd.safetensors", shifted));

    expect_same_bits(file.tensor("b"), values, std::to_string(shift));
    expect_same_bits(file.tensor("a"), at::full({3}, 1, at::kChar), std::to_string(shift));
  }
}

TEST(SafetensorsFile, AcceptsDataInAnotherOrderThanTheHeader) {
  TemporaryFolder scratch;
  const auto bytes =
      safetensors_bytes(R"({"late":{"dtype":"U8","shape":[2],"data_offsets":[1,3]},)"
                        R"("none":{"dtype":"U8","shape":[0],"data_offsets":[1,1]},)"
                        R"("early":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})") +
      "abc";

  const auto file = SafetensorsFile::open(write_bytes(scratch / "x.safetensors", bytes));

  EXPECT_EQ(file.tensors()[0].name, "late");
  EXPECT_EQ(file.tensor("early").item<uint8_t>(), 'a');
  EXPECT_EQ(file.tensor("late")[1].item<uint8_t>(), 'c');
  EXPECT_EQ(file.tensor("none").numel(), 0);
}

TEST(SafetensorsFile, RefusesTruthValuesOtherThanZeroAndOne) {
  TemporaryFolder scratch;
  const auto bytes =
      safetensors_bytes(R"({"m":{"dtype":"BOOL","shape":[3],"data_offsets":[0,3]}})") +
      std::string("\1\0\2", 3);
  const auto file = SafetensorsFile::open(write_bytes(scratch / "b.safetensors", bytes));

  expect_contains(message_of([&] { file.tensor("m"); }),
                  "tensor 'm' holds the byte 2 at element 2");
}

TEST(SafetensorsWriter, RoundTripsAnyDtypeLayoutAndName) {
  TemporaryFolder scratch;
  const std::vector<at::Tensor> tensors = {at::randn({3, 4}).t(),
                                           at::arange(5, at::kLong).slice(0, 1, 4),
                                           at::randn({2, 2}).to(at::kBFloat16),
                                           at::ones({3}, at::kBool),
                                           at::scalar_tensor(1.5),
                                           at::empty({0, 2}, at::kHalf)};
  std::vector<TensorInfo> infos;
  for (const auto& tensor : tensors)
    infos.push_back(
        {"t\"" + std::to_string(infos.size()), tensor.scalar_type(), tensor.sizes().vec()});

  SafetensorsWriter writer(scratch / "new/folder/w.safetensors", infos, {{"k", "\"v\"\n"}});
  for (size_t i = 0; i < tensors.size(); ++i) writer.write(infos[i].name, tensors[i]);
  writer.commit();

  const auto file = SafetensorsFile::open(scratch / "new/folder/w.safetensors");
  EXPECT_EQ(file.metadata().at("k"), "\"v\"\n");
  int64_t bytes = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    EXPECT_EQ(file.tensors()[i].name, infos[i].name);
    expect_same_bits(file.tensor(infos[i].name), tensors[i], infos[i].name);
    bytes += static_cast<int64_t>(tensors[i].nbytes());
  }
  EXPECT_EQ(writer.data_bytes(), bytes);
}

TEST(SafetensorsWriter, WritesTheVeryBytesOfTheReferenceWriter) {
  TemporaryFolder scratch;
  const auto file = SafetensorsFile::open(golden("sharded/model-00001-of-00002.safetensors"));

  SafetensorsWriter writer(scratch / "copy.safetensors", file.tensors(), file.metadata());
  for (const auto& tensor : file.tensors()) writer.write(tensor.name, file.tensor(tensor.name));
  writer.commit();

  EXPECT_EQ(read_bytes(scratch / "copy.safetensors"), read_bytes(file.path()));
}

TEST(SafetensorsWriter, HoldsTheCallerToItsList) {
  TemporaryFolder scratch;
  SafetensorsWriter writer(scratch / "w.safetensors",
                           {{"a", at::kFloat, {2}}, {"b", at::kFloat, {2}}});

  expect_contains(message_of<Error>([&] { writer.write("b", at::zeros({2})); }),
                  "expected the tensor 'a' next");
  expect_contains(message_of<Error>([&] { writer.write("a", at::zeros({3})); }),
                  "'a' should be Float [2]");
  expect_contains(message_of<Error>([&] { writer.write("a", at::zeros({2}, at::kHalf)); }),
                  "got Half [2]");
  writer.write("a", at::zeros({2}));
  expect_contains(message_of<Error>([&] { writer.commit(); }),
                  "only 1 of 2 tensors were written; 'b' is next");
  writer.write("b", at::zeros({2}));
  expect_contains(message_of<Error>([&] { writer.write("c", at::zeros({2})); }),
                  "after the last of 2 tensors");
}

TEST(SafetensorsWriter, RefusesNamesAndDtypesTheFormatLacks) {
  TemporaryFolder scratch;
  const auto fault = [&](std::vector<TensorInfo> tensors) {
    return message_of<Error>(
        [&] { SafetensorsWriter(scratch / "w.safetensors", std::move(tensors)); });
  };

  expect_contains(fault({{"a", at::kFloat, {1}}, {"a", at::kInt, {1}}}),
                  "'a' is reserved or used twice");
  expect_contains(fault({{"__metadata__", at::kFloat, {1}}}), "'__metadata__' is reserved");
  expect_contains(fault({{"z", at::kComplexFloat, {1}}}), "cannot hold ComplexFloat (z)");
  EXPECT_TRUE(files_in(scratch.path()).empty());
}

TEST(SafetensorsWriter, LeavesNothingBehindWithoutCommit) {
  TemporaryFolder scratch;
  {
    SafetensorsWriter(scratch / "w.safetensors", {{"a", at::kFloat, {2}}})
        .write("a", at::zeros({2}));
  }

  EXPECT_TRUE(files_in(scratch.path()).empty());
}

}  // namespace
}  // namespace qtk::format
