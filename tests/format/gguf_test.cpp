#include "format/gguf.hpp"

#include "gguf_bytes.hpp"

#include <ATen/ATen.h>

namespace qtk::format {
namespace {

TEST(GgufFile, ReadsEveryMetadataTypeOfThePythonWriter) {
  const auto file = GgufFile::open(golden("small.gguf"));
  const auto& metadata = file.metadata();

  EXPECT_EQ(file.version(), 3u);
  EXPECT_EQ(metadata.text("general.architecture"), "llama");
  EXPECT_EQ(metadata.integer("t.u8"), 200);
  EXPECT_EQ(metadata.integer("t.i8"), -100);
  EXPECT_EQ(metadata.integer("t.u16"), 60000);
  EXPECT_EQ(metadata.integer("t.i16"), -30000);
  EXPECT_EQ(metadata.integer("t.u32"), 4000000000);
  EXPECT_EQ(metadata.integer("t.i32"), -2000000000);
  EXPECT_EQ(std::get<uint64_t>(metadata.values.at("t.u64")), (uint64_t{1} << 63) + 5);
  EXPECT_EQ(metadata.integer("t.i64"), -(int64_t{1} << 62));
  EXPECT_EQ(metadata.real("t.f32"), 0.1f);
  EXPECT_EQ(metadata.real("t.f64"), 0.1);
  EXPECT_TRUE(metadata.flag_or("t.bool", false));
  EXPECT_EQ(metadata.text("t.text"), "caf\xc3\xa9");
  EXPECT_EQ(metadata.texts("t.texts"), (std::vector<std::string>{"a", "", "\xe2\x96\x81the"}));
  EXPECT_EQ(metadata.integers("t.ints"), (std::vector<int64_t>{1, -2, 3}));
  EXPECT_EQ(metadata.reals("t.reals"), (std::vector<double>{0.5, -1.25}));
  EXPECT_EQ(std::get<std::vector<bool>>(metadata.values.at("t.flags")),
            (std::vector<bool>{true, false, true}));
}

TEST(GgufFile, DequantizesEveryTensorToTheSameBits) {
  const auto file = GgufFile::open(golden("small.gguf"));
  const auto expected = SafetensorsFile::open(golden("small_gguf.safetensors"));

  EXPECT_EQ(file.tensors().size(), expected.tensors().size());
  for (const GgufTensor& tensor : file.tensors()) {
    expect_same_bits(file.dequantize(tensor.name), expected.tensor(tensor.name), tensor.name);
    EXPECT_EQ(tensor.shape, expected.info(tensor.name).shape) << tensor.name;
  }
}

TEST(GgufFile, GivesRawBlocksThatOutliveIt) {
  at::Tensor blocks;
  {
    const auto file = GgufFile::open(golden("small.gguf"));
    blocks = file.tensor("blk.0.q4_1.weight");
    EXPECT_EQ(blocks.const_data_ptr(), file.tensor("blk.0.q4_1.weight").const_data_ptr());
    EXPECT_EQ(file.info("blk.0.q4_1.weight").nbytes(), 4 * 40);
    EXPECT_EQ(file.info("blk.0.q4_1.weight").type->name, "Q4_1");
  }

  EXPECT_EQ(blocks.sizes(), (std::vector<int64_t>{4, 40}));
  EXPECT_EQ(blocks[0].sum().item<int64_t>(), 0);  // its first row is all zero
}

TEST(GgufFile, ReversesTheSizesOfTheFile) {
  TemporaryFolder scratch;
  const auto path =
      write_bytes(scratch / "s.gguf", gguf_bytes({}, {gguf_tensor("t", {2, 3, 4}, 0, 0)}, 96));

  const auto file = GgufFile::open(path);

  EXPECT_EQ(file.info("t").shape, (std::vector<int64_t>{4, 3, 2}));
  EXPECT_EQ(file.dequantize("t").sizes(), (std::vector<int64_t>{4, 3, 2}));
}

TEST(GgufFile, ReadsVersion2AndAnotherAlignment) {
  TemporaryFolder scratch;
  std::string bytes = gguf_preamble(1, 1, 2) +
                      gguf_key("general.alignment", GgufType::kU32, raw(uint32_t{64})) +
                      gguf_tensor("t", {2}, 0, 64);
  bytes.resize((bytes.size() + 63) / 64 * 64 + 64);
  bytes += raw(1.5f) + raw(-2.0f);

  const auto file = GgufFile::open(write_bytes(scratch / "v2.gguf", bytes));

  EXPECT_EQ(file.version(), 2u);
  EXPECT_TRUE(file.dequantize("t").equal(at::tensor({1.5f, -2.0f})));
}

TEST(GgufFile, OpensFilesWithTypesItCannotDequantize) {
  TemporaryFolder scratch;
  const auto path =
      write_bytes(scratch / "k.gguf", gguf_bytes({}, {gguf_tensor("w", {256}, 13, 0)}, 176));

  const auto file = GgufFile::open(path);

  EXPECT_EQ(file.tensor("w").sizes(), (std::vector<int64_t>{176}));
  expect_contains(message_of([&] { file.dequantize("w"); }),
                  "the tensor 'w' is of type Q5_K, which qtk cannot read");
}

TEST(GgufFile, AcceptsEmptyTensorsAndFilesWithoutAny) {
  TemporaryFolder scratch;

  const auto none = GgufFile::open(write_bytes(scratch / "a.gguf", gguf_preamble(0, 0)));
  const auto empty = GgufFile::open(
      write_bytes(scratch / "b.gguf", gguf_bytes({}, {gguf_tensor("t", {32, 0}, 8, 0)})));

  EXPECT_TRUE(none.tensors().empty());
  EXPECT_EQ(empty.dequantize("t").sizes(), (std::vector<int64_t>{0, 32}));
  EXPECT_EQ(empty.tensor("t").sizes(), (std::vector<int64_t>{0, 34}));
}

TEST(GgufFile, SuggestsTheNearestTensor) {
  const auto file = GgufFile::open(golden("small.gguf"));

  expect_contains(message_of([&] { file.dequantize("norm.weigth"); }),
                  "small.gguf has no tensor 'norm.weigth'");
}

GgufFields sample_fields() {
  GgufFields fields;
  fields.text("general.architecture", "llama");
  fields.u32("llama.block_count", 30);
  fields.u64("big", ~uint64_t{0});
  fields.i32("small", -5);
  fields.f32("llama.rope.freq_base", 10000.0);
  fields.flag("tokenizer.ggml.add_bos_token", true);
  fields.texts("tokenizer.ggml.tokens", std::vector<std::string>{"<s>", "a"});
  fields.i32s("tokenizer.ggml.token_type", std::vector<int64_t>{3, 1});
  fields.f32s("tokenizer.ggml.scores", std::vector<double>{0.0, -1.5});
  return fields;
}

TEST(GgufWriter, RoundTripsMetadataAndTensors) {
  TemporaryFolder scratch;
  const auto x = at::randn({3, 64});
  const auto norm = at::randn({7});

  GgufWriter writer(scratch / "w.gguf", sample_fields(),
                    {{"a", &ggml_type("Q8_0"), {3, 64}},
                     {"b", &ggml_type("F32"), {7}},
                     {"c", &ggml_type("F16"), {3, 64}}});
  writer.write("a", x);
  writer.write("b", norm);
  writer.write("c", x.to(at::kDouble));
  writer.commit();

  const auto file = GgufFile::open(scratch / "w.gguf");
  EXPECT_EQ(file.metadata().values.size(), 9u);
  EXPECT_EQ(file.metadata().integer("llama.block_count"), 30);
  EXPECT_EQ(std::get<uint64_t>(file.metadata().values.at("big")), ~uint64_t{0});
  EXPECT_EQ(file.metadata().texts("tokenizer.ggml.tokens")[0], "<s>");
  EXPECT_EQ(file.metadata().reals("tokenizer.ggml.scores")[1], -1.5);
  expect_same_bits(file.tensor("a"), quantize_blocks(ggml_type("Q8_0"), x, "a"), "a");
  expect_same_bits(file.dequantize("b"), norm, "b");
  expect_same_bits(file.dequantize("c"), x.to(at::kHalf).to(at::kFloat), "c");
  EXPECT_EQ(writer.data_bytes(), 3 * 68 + 28 + 384);
}

TEST(GgufWriter, WritesTheWidthsThatOtherReadersExpect) {
  TemporaryFolder scratch;
  GgufWriter(scratch / "w.gguf", sample_fields(), {}).commit();
  const auto bytes = read_bytes(scratch / "w.gguf");

  const auto holds = [&](const std::string& piece) {
    return bytes.find(piece) != std::string::npos;
  };
  EXPECT_TRUE(bytes.starts_with(gguf_preamble(0, 9)));
  EXPECT_TRUE(holds(gguf_key("llama.block_count", GgufType::kU32, raw(uint32_t{30}))));
  EXPECT_TRUE(holds(gguf_key("llama.rope.freq_base", GgufType::kF32, raw(10000.0f))));
  EXPECT_TRUE(holds(gguf_key("tokenizer.ggml.add_bos_token", GgufType::kBool, raw(true))));
  EXPECT_TRUE(holds(gguf_key("tokenizer.ggml.token_type", GgufType::kList,
                             gguf_list(GgufType::kI32, 2, raw(int32_t{3}) + raw(int32_t{1})))));
  EXPECT_TRUE(holds(gguf_key("tokenizer.ggml.scores", GgufType::kList,
                             gguf_list(GgufType::kF32, 2, raw(0.0f) + raw(-1.5f)))));
}

TEST(GgufWriter, CopiesBlocksAsTheyAre) {
  TemporaryFolder scratch;
  const auto source = GgufFile::open(golden("small.gguf"));
  GgufWriter writer(scratch / "copy.gguf", sample_fields(), source.tensors());

  for (const auto& tensor : source.tensors()) {
    const auto blocks = source.tensor(tensor.name);
    writer.write_blocks(tensor.name,
                        {static_cast<const std::byte*>(blocks.const_data_ptr()), blocks.nbytes()});
  }
  writer.commit();

  const auto copy = GgufFile::open(scratch / "copy.gguf");
  for (const auto& tensor : source.tensors())
    expect_same_bits(copy.tensor(tensor.name), source.tensor(tensor.name), tensor.name);
}

TEST(GgufWriter, HoldsTheCallerToItsListAndToTheFormat) {
  TemporaryFolder scratch;
  const auto* f32 = &ggml_type("F32");
  const auto fault = [&](std::vector<GgufTensor> tensors) {
    return message_of<Error>([&] { GgufWriter(scratch / "w.gguf", {}, std::move(tensors)); });
  };

  expect_contains(fault({{"a", f32, {1}}, {"a", f32, {1}}}), "'a' is used twice");
  expect_contains(fault({{std::string(64, 'n'), f32, {1}}}), "should have 1 to 63 bytes");
  expect_contains(fault({{"a", f32, {}}}), "'a' has 0 dimensions");
  expect_contains(fault({{"a", f32, {1, 1, 1, 1, 1}}}), "'a' has 5 dimensions");
  expect_contains(fault({{"a", &ggml_type("Q4_0"), {2, 48}}}), "rows of 48 weights");
  GgufWriter writer(scratch / "w.gguf", {}, {{"a", f32, {2}}, {"b", f32, {2}}});
  expect_contains(message_of<Error>([&] { writer.write("b", at::zeros({2})); }),
                  "expected the tensor 'a' next");
  expect_contains(message_of<Error>([&] { writer.write("a", at::zeros({3})); }),
                  "'a' should be [2], got [3]");
  expect_contains(message_of<Error>([&] { writer.write_blocks("a", {}); }),
                  "'a' needs 8 bytes of blocks, got 0");
  writer.write("a", at::zeros({2}));
  expect_contains(message_of<Error>([&] { writer.commit(); }), "only 1 of 2 tensors were written");
}

TEST(GgufFields, RefuseValuesThatDoNotFitAndKeysGivenTwice) {
  GgufFields fields;
  fields.u32("a", 1);

  expect_contains(message_of<Error>([&] { fields.u32("a", 2); }), "'a' is given twice");
  expect_contains(message_of<Error>([&] { fields.u32("b", -1); }),
                  "the GGUF key 'b' cannot hold -1");
  expect_contains(message_of<Error>([&] { fields.u32("b", int64_t{1} << 32); }),
                  "cannot hold 4294967296");
  expect_contains(message_of<Error>([&] { fields.i32("b", int64_t{1} << 31); }),
                  "cannot hold 2147483648");
  expect_contains(message_of<Error>([&] { fields.f32("b", 1e300); }), "cannot hold 1e+300");
  expect_contains(message_of<Error>([&] { fields.u32("general.alignment", 64); }),
                  "sets the alignment itself");
  expect_contains(message_of<Error>([&] { fields.text("", "x"); }), "1 to 65535 bytes");
  EXPECT_EQ(fields.count(), 1);
}

}  // namespace
}  // namespace qtk::format
