// GGUF files with one fault each: one sentence, and no model in the folder.
#include "format/gguf.hpp"
#include "stage/export_model.hpp"
#include "stage/import_gguf.hpp"
#include "stage_fixtures.hpp"
#include "write_limit.hpp"

namespace qtk::stage {
namespace {

/// The content of a GGUF file, to be changed and written again.
struct Content {
  std::map<std::string, format::GgufValue> values;
  std::map<std::string, at::Tensor> tensors;  // fp32

  explicit Content(const fs::path& path) {
    const auto file = format::GgufFile::open(path);
    values = {file.metadata().values.begin(), file.metadata().values.end()};
    for (const auto& tensor : file.tensors()) tensors[tensor.name] = file.dequantize(tensor.name);
  }
  void set(const std::string& key, int64_t value) { values[key] = static_cast<uint64_t>(value); }

  void write(const fs::path& path) const {
    std::vector<format::GgufTensor> infos;
    for (const auto& [name, tensor] : tensors)
      infos.push_back({name, &format::ggml_type("F32"), tensor.sizes().vec()});
    format::GgufWriter writer(path, fields(), infos);
    for (const auto& [name, tensor] : tensors) writer.write(name, tensor);
    writer.commit();
  }

 private:
  format::GgufFields fields() const {
    format::GgufFields fields;
    for (const auto& [key, value] : values) {
      if (const auto* v = std::get_if<bool>(&value)) fields.flag(key, *v);
      if (const auto* v = std::get_if<uint64_t>(&value)) fields.u64(key, *v);
      if (const auto* v = std::get_if<double>(&value)) fields.f32(key, *v);
      if (const auto* v = std::get_if<std::string>(&value)) fields.text(key, *v);
      if (const auto* v = std::get_if<std::vector<std::string>>(&value)) fields.texts(key, *v);
      if (const auto* v = std::get_if<std::vector<int64_t>>(&value)) fields.i32s(key, *v);
    }
    return fields;
  }
};

class ImportFaultTest : public testing::Test {
 protected:
  ImportFaultTest() {
    const fs::path source = tiny::write_model(scratch_ / "source");
    export_model(*model::Decoder::load(source),
                 {.format = "gguf", .type = "F32", .source = source, .target = whole_});
  }
  void expect_no_model() {
    EXPECT_FALSE(fs::exists(folder_ / "config.json"));
    EXPECT_TRUE(leftovers_in(scratch_.path()).empty());
  }

  TemporaryFolder scratch_;
  const fs::path whole_ = scratch_ / "whole.gguf", faulty_ = scratch_ / "faulty.gguf",
                 folder_ = scratch_ / "imported";
};

struct Fault {
  std::string name;
  std::function<void(Content&)> change;
  std::vector<std::string> fragments;
};

const std::vector<Fault>& faults() {
  static const std::vector<Fault> all = {
      {"missing tensor",
       [](Content& c) { c.tensors.erase("blk.1.ffn_up.weight"); },
       {"faulty.gguf", "missing tensors: blk.1.ffn_up.weight", "damaged or incomplete"}},
      {"surplus tensor",
       [](Content& c) {
         c.tensors["blk.0.ssm.weight"] = at::ones({4, 4});
       },
       {"faulty.gguf", "does not have: blk.0.ssm.weight", "variant"}},
      {"no embedding",
       [](Content& c) { c.tensors.erase("token_embd.weight"); },
       {"token_embd.weight is missing"}},
      {"unknown architecture",
       [](Content& c) { c.values["general.architecture"] = std::string("mamba"); },
       {"architecture 'mamba' is not supported", "known: gpt2, llama"}},
      {"no architecture",
       [](Content& c) { c.values.erase("general.architecture"); },
       {"general.architecture"}},
      {"no heads",
       [](Content& c) { c.set("llama.attention.head_count", 0); },
       {"attention.head_count is 0"}},
      {"block count missing",
       [](Content& c) { c.values.erase("llama.block_count"); },
       {"llama.block_count"}},
      {"block count a text",
       [](Content& c) { c.values["llama.block_count"] = std::string("two"); },
       {"llama.block_count"}},
      {"block count absurd",
       [](Content& c) { c.set("llama.block_count", 1000000000); },
       {"llama.block_count is 1000000000", "expected 0 to 100000"}},
      {"more blocks than tensors",
       [](Content& c) { c.set("llama.block_count", 9000); },
       {"faulty.gguf", "missing tensors: blk.2.attn_norm.weight", " more"}},
      {"fewer blocks than tensors",
       [](Content& c) { c.set("llama.block_count", 1); },
       {"faulty.gguf", "blk.1."}},
      {"no tokens",
       [](Content& c) { c.values.erase("tokenizer.ggml.tokens"); },
       {"tokenizer.ggml.tokens"}},
      {"no tokenizer model",
       [](Content& c) { c.values.erase("tokenizer.ggml.model"); },
       {"tokenizer.ggml.model"}}};
  return all;
}

TEST_F(ImportFaultTest, EveryFaultIsOneSentenceAndLeavesNoModel) {
  const Content whole(whole_);
  for (const auto& [name, change, fragments] : faults()) {
    SCOPED_TRACE(name);
    Content content = whole;
    change(content);
    content.write(faulty_);

    expect_contains(sentence_of<DataError>([&] { import_gguf(faulty_, folder_, at::kFloat); }),
                    fragments);

    expect_no_model();
  }
  whole.write(faulty_);  // the way of writing is not the fault
  import_gguf(faulty_, folder_, at::kFloat);
  EXPECT_TRUE(fs::exists(folder_ / "config.json"));
}

TEST_F(ImportFaultTest, AFullDiskLeavesNoModel) {
  {
    const WriteLimit limit(100'000);
    expect_contains(sentence_of<IoError>([&] { import_gguf(whole_, folder_, at::kFloat); }),
                    {"cannot write", "model.safetensors", "File too large"});
  }
  expect_no_model();
  EXPECT_FALSE(fs::exists(folder_ / "model.safetensors"));
}

TEST_F(ImportFaultTest, AFullDiskLeavesNoExport) {
  const fs::path source = scratch_ / "source";
  const auto decoder = model::Decoder::load(source);
  for (const char* format : {"hf-dense", "gguf"}) {
    SCOPED_TRACE(format);
    const WriteLimit limit(100'000);
    expect_contains(
        sentence_of<IoError>([&] {
          export_model(*decoder, {.format = format, .source = source, .target = scratch_ / format});
        }),
        {"cannot write", (scratch_ / format).string(), "File too large"});
    EXPECT_FALSE(fs::is_regular_file(scratch_ / format));
    EXPECT_TRUE(contents_of(scratch_ / "hf-dense").empty());
    EXPECT_TRUE(leftovers_in(scratch_.path()).empty());
  }
}

TEST_F(ImportFaultTest, WrongShapesAreRefused) {
  const Content whole(whole_);
  const std::vector<std::pair<std::string, std::function<void(Content&)>>> cases = {
      {"ffn_down [64, 64]",
       [](Content& c) {
         c.tensors["blk.1.ffn_down.weight"] = at::ones({64, 64});
       }},
      {"q of 60 rows",
       [](Content& c) {
         c.tensors["blk.1.attn_q.weight"] = at::ones({60, 64});
       }},
      {"k of 3 dims",
       [](Content& c) {
         c.tensors["blk.1.attn_k.weight"] = at::ones({4, 8, 64});
       }},
      {"norm of 63", [](Content& c) { c.tensors["blk.1.attn_norm.weight"] = at::ones({63}); }},
      {"embedding narrower",
       [](Content& c) {
         c.tensors["token_embd.weight"] = at::ones({300, 32});
       }},
      {"head_count_kv 3", [](Content& c) { c.set("llama.attention.head_count_kv", 3); }},
      {"embedding_length 32", [](Content& c) { c.set("llama.embedding_length", 32); }},
      {"key_length 7", [](Content& c) { c.set("llama.attention.key_length", 7); }},
      {"kv 0", [](Content& c) { c.set("llama.attention.head_count_kv", 0); }},
      {"ff 95", [](Content& c) { c.set("llama.feed_forward_length", 95); }},
      {"context 0", [](Content& c) { c.set("llama.context_length", 0); }},
      {"scalar type q", [](Content& c) { c.tensors["blk.1.attn_q.weight"] = at::ones({64}); }}};
  for (const auto& [name, change] : cases) {
    SCOPED_TRACE(name);
    Content content = whole;
    change(content);
    content.write(faulty_);
    const auto s = sentence_of<DataError>([&] { import_gguf(faulty_, folder_, at::kFloat); });
    expect_contains(s, {"faulty.gguf"});
    expect_no_model();
  }
}

TEST_F(ImportFaultTest, SentencesNameTheFile) {
  const Content whole(whole_);
  for (const auto& change : std::vector<std::function<void(Content&)>>{
           [](Content& c) { c.values["general.architecture"] = std::string("mamba"); },
           [](Content& c) { c.values.erase("general.architecture"); },
           [](Content& c) { c.set("llama.attention.head_count", 0); },
           [](Content& c) { c.values.erase("llama.block_count"); },
           [](Content& c) { c.set("llama.block_count", 1000000000); },
           [](Content& c) { c.set("llama.block_count", 90000); },
           [](Content& c) { c.tensors.erase("token_embd.weight"); },
           [](Content& c) { c.values.erase("tokenizer.ggml.tokens"); },
           [](Content& c) { c.values.erase("tokenizer.ggml.model"); },
           [](Content& c) {
             c.values["tokenizer.ggml.tokens"] = std::vector<std::string>{"a", "b"};
           },
           [](Content& c) { c.values["tokenizer.ggml.pre"] = std::string("weird"); },
           [](Content& c) { c.set("tokenizer.ggml.bos_token_id", 5000); }}) {
    Content content = whole;
    change(content);
    content.write(faulty_);
    const auto s = sentence_of<DataError>([&] { import_gguf(faulty_, folder_, at::kFloat); });
    expect_contains(s, {"faulty.gguf"});
    expect_no_model();
    EXPECT_TRUE(contents_of(folder_).empty()) << contents_of(folder_).begin()->first;
  }
}

TEST_F(ImportFaultTest, AFailedImportLeavesAnOlderModelAlone) {
  import_gguf(whole_, folder_, at::kFloat);
  const auto before = contents_of(folder_);
  Content content(whole_);
  content.tensors.erase("blk.1.ffn_up.weight");
  content.write(faulty_);
  try {
    import_gguf(faulty_, folder_, at::kFloat);
  } catch (const DataError&) {
  }
  EXPECT_TRUE(contents_of(folder_) == before)
      << contents_of(folder_).size() << " of " << before.size();
}

}  // namespace
}  // namespace qtk::stage
