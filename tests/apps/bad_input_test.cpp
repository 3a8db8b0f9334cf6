// Bad inputs: the documented exit code and one sentence that names file, place and remedy.
#include "program_fixture.hpp"

#include <deque>

namespace qtk {
namespace {

struct Case {
  std::string name;
  std::vector<std::string> arguments;
  int code;
  std::vector<std::string> fragments;  // of stderr
};

class BadInputTest : public ProgramTest {
 protected:
  /// All at once: nearly all of their time is the start of the program.
  void expect_refused(const std::vector<Case>& cases) const {
    std::deque<Program> programs;
    for (const auto& refused : cases)
      programs.emplace_back(refused.arguments, Start{.folder = scratch_.path()});
    for (size_t i = 0; i < cases.size(); ++i) {
      SCOPED_TRACE(cases[i].name);
      const auto outcome = programs[i].finish();
      EXPECT_EQ(outcome.code, cases[i].code) << outcome.err;
      EXPECT_EQ(outcome.out, "");
      expect_contains(outcome.err, cases[i].fragments);
    }
    EXPECT_TRUE(leftovers_in(scratch_.path()).empty());
  }

  std::vector<std::string> eval_of(const std::string& model) const {
    return {"eval", "--model", here(model), "--text", inputs_.text("text.txt"), "--ctx", "64"};
  }
  /// A copy of the model with other bytes in one file.
  std::vector<std::string> eval_with(const std::string& name, const std::string& file,
                                     const std::string& content) const {
    copy(name);
    write(name + "/" + file, content);
    return eval_of(name);
  }
  /// A model changed before it is written.
  std::vector<std::string> eval_changed(
      const std::string& name, const std::function<void(json&, tiny::Tensors&)>& change) const {
    tiny::write_model(scratch_ / name, change);
    return eval_of(name);
  }
  void copy(const std::string& name) const {
    fs::copy(inputs_ / "model", scratch_ / name, fs::copy_options::recursive);
  }
  std::vector<std::string> run_of(const std::string& configuration) const {
    return {"run", write(std::to_string(++number_) + ".yaml", configuration), "--out",
            here("r" + std::to_string(number_))};
  }
  mutable int number_ = 0;
};

/// `text` with its first `what` replaced.
std::string replaced(std::string text, const std::string& what, const std::string& by) {
  text.replace(text.find(what), what.size(), by);
  return text;
}

/// A safetensors file of two tensors that share bytes.
std::string overlapping() {
  const std::string header = R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},)"
                             R"("b":{"dtype":"F32","shape":[4],"data_offsets":[8,24]}})";
  const uint64_t size = header.size();
  return std::string(reinterpret_cast<const char*>(&size), 8) + header + std::string(24, 'x');
}

TEST_F(BadInputTest, ModelFolders) {
  const std::string weights = file_content(inputs_ / "model/model.safetensors");
  copy("no_tokenizer");
  fs::remove(scratch_ / "no_tokenizer/tokenizer.json");
  expect_refused({
      {"no folder", eval_of("nowhere"), 4, {"error[data]", here("nowhere"), "check the path"}},
      {"truncated weights",
       eval_with("short", "model.safetensors", weights.substr(0, weights.size() / 2)),
       4,
       {"error[data]", here("short/model.safetensors"), "\n   "}},
      {"overlapping tensors",
       eval_with("overlap", "model.safetensors", overlapping()),
       4,
       {"error[data]", "overlap/model.safetensors", "b", "\n   "}},
      {"wrong shape",
       eval_changed("shape",
                    [](auto&, auto& t) {
                      t["model.layers.1.mlp.up_proj.weight"] = at::ones({95, 64});
                    }),
       4,
       {"error[data]", here("shape"), "model.layers.1.mlp.up_proj.weight", "[95, 64]", "[96, 64]",
        "\n   "}},
      {"missing tensors",
       eval_changed("missing", [](auto&, auto& t) { t.erase("model.norm.weight"); }),
       4,
       {"error[data]", here("missing"), "lacks 1 tensor: model.norm.weight", "\n   "}},
      {"unknown architecture",
       eval_changed("family", [](auto& c, auto&) { c["model_type"] = "mamba"; }),
       4,
       {"error[data]", here("family/config.json"), "mamba", "llama", "qwen2"}},
      {"no number of heads that divides",
       eval_changed("heads", [](auto& c, auto&) { c["num_attention_heads"] = 5; }),
       4,
       {"error[data]", here("heads/config.json"), "num_attention_heads 5"}},
      {"config.json is no JSON",
       eval_with("no_json", "config.json", "{\"model_type\": llama}"),
       4,
       {"error[data]", here("no_json/config.json"), "JSON", "\n   "}},
      {"no tokenizer",
       eval_of("no_tokenizer"),
       4,
       {"error[data]", here("no_tokenizer"), "tokenizer.json", "\n   "}},
  });
}

TEST_F(BadInputTest, GgufFiles) {
  const std::string whole = file_content(inputs_ / "model.gguf");
  std::string many_tensors = whole, many_keys = whole;
  many_tensors[8 + 6] = '\x7f';  // counts are u64 at 8 and 16
  many_keys[16 + 7] = '\x7f';
  const auto import = [&](const std::string& name, const std::string& content) {
    return std::vector<std::string>{"import", "--gguf", write(name + ".gguf", content), "--out",
                                    here("imported")};
  };
  expect_refused({
      {"no file",
       {"import", "--gguf", here("no.gguf"), "--out", here("imported")},
       4,
       {"error[data]", here("no.gguf"), "\n   "}},
      {"no gguf",
       import("text", "once upon a time, and for long enough"),
       4,
       {"error[data]", here("text.gguf"), "GGUF", "\n   "}},
      {"tensor count",
       import("tensors", many_tensors),
       4,
       {"error[data]", here("tensors.gguf"), "tensor", "\n   "}},
      {"key count", import("keys", many_keys), 4, {"error[data]", here("keys.gguf"), "\n   "}},
      {"cut in the metadata",
       import("cut", whole.substr(0, 300)),
       4,
       {"error[data]", here("cut.gguf"), "\n   "}},
      {"cut in the weights",
       import("half", whole.substr(0, whole.size() / 2)),
       4,
       {"error[data]", here("half.gguf"), "\n   "}},
      {"unwritable",
       {"import", "--gguf", inputs_.text("model.gguf"), "--out", here("cut.gguf/m")},
       74,
       {"error[io]", here("cut.gguf/m"), "Not a directory", "\n   "}},
  });
  EXPECT_FALSE(fs::exists(scratch_ / "imported/config.json"));
}

TEST_F(BadInputTest, Configurations) {
  const std::string good = inputs_.configuration();
  write("plugins/libqtk_quantizer_mine.so",
        file_content(Program::path().parent_path().parent_path() /
                     "lib/qtk/plugins/quantizer/libqtk_quantizer_affine.so")
            .substr(0, 20000));
  expect_refused({
      {"group size",
       run_of(replaced(good, "group_size: 32", "group_size: 64")),
       2,
       {"error[config]", "model.layers.0.mlp.down_proj", "64", "96", "(2 layers affected)", "32"}},
      {"unknown plugin",
       run_of(replaced(good, "use: affine", "use: afine")),
       2,
       {"error[config]", "afine", "affine", ".yaml:6:"}},
      {"plugin cut short",
       run_of(replaced(good, "use: affine", "use: mine") + "plugins: {path: [" + here("plugins") +
              "]}\n"),
       2,
       {"error[config]", here("plugins/libqtk_quantizer_mine.so") + " is truncated",
        ".yaml:6:", "build or install the plugin again"}},
      {"several mistakes",
       run_of(replaced(replaced(good, "bits: 4", "bits: 9"), "ctx: 64", "ctx: many") + "sed: 7\n"),
       2,
       {"error[config]", ".yaml:5:", "data.eval.ctx", "many", ".yaml:6:", "bits", "[2, 8]",
        ".yaml:8:1", "sed", "seed"}},
      {"no model",
       run_of(replaced(good, "/model}", "/nowhere}")),
       2,
       {"error[config]", ".yaml:4:", "model.path", "/nowhere", "current folder"}},
      {"no text",
       run_of(replaced(good, "/text.txt", "/nowhere.txt")),
       2,
       {"error[config]", ".yaml:5:", "data.eval.files", "/nowhere.txt"}},
      {"no configuration",
       {"run", here("nowhere.yaml")},
       2,
       {"error[config]", here("nowhere.yaml")}},
      {"unwritable",
       {"run", inputs_.text("tiny.yaml"), "--out", inputs_.text("text.txt/r")},
       74,
       {"error[io]", inputs_.text("text.txt/r"), "Not a directory", "choose another --out"}},
      {"not a run folder",
       {"run", inputs_.text("tiny.yaml"), "--out", inputs_.text("model")},
       2,
       {"error[config]", inputs_.text("model"), "not a run folder", "choose another --out"}},
      {"resume",
       {"run", inputs_.text("tiny.yaml"), "--resume=sometimes"},
       2,
       {"error[config]", "--resume=sometimes", "auto or never"}},
  });
}

TEST_F(BadInputTest, EvaluationsAndExports) {
  const std::string model = inputs_.text("model"), text = inputs_.text("text.txt");
  expect_refused({
      {"no text",
       {"eval", "--model", model, "--text", here("no.txt")},
       4,
       {"error[data]", here("no.txt"), "\n   "}},
      {"no text at all", {"eval", "--model", model}, 2, {"error[config]", "--text"}},
      {"short text",
       {"eval", "--model", model, "--text", text, "--ctx", "50000"},
       4,
       {"error[data]", "fewer than one window of 50000", "smaller ctx"}},
      {"protocol",
       {"eval", "--model", model, "--text", text, "--protocol", "ppl_tokens"},
       2,
       {"error[config]", "ppl_tokens", "did you mean 'ppl_token'?"}},
      {"device",
       {"eval", "--model", model, "--text", text, "--device", "gpu"},
       2,
       {"error[config]", "gpu", "cuda"}},
      {"format",
       {"export", "--model", model, "--use", "onnx", "--out", here("x")},
       2,
       {"error[config]", "onnx", "compressed-tensors"}},
      {"dense to compressed-tensors",
       {"export", "--model", model, "--use", "compressed-tensors", "--out", here("x")},
       2,
       {"error[config]", "needs a quantized model", "\n   "}},
      {"unwritable",
       {"export", "--model", model, "--use", "gguf", "--out", text + "/x.gguf"},
       74,
       {"error[io]", text, "Not a directory", "\n   "}},
      {"inspect nothing",
       {"inspect", "--model", here("nowhere")},
       4,
       {"error[data]", here("nowhere"), "check the path"}},
  });
}

TEST_F(BadInputTest, ABrokenPluginThatShadowsABuiltInOneIsReported) {
  write("plugins/libqtk_quantizer_affine.so",
        file_content(Program::path().parent_path().parent_path() /
                     "lib/qtk/plugins/quantizer/libqtk_quantizer_affine.so")
            .substr(0, 20000));
  const auto o =
      qtk({"run",
           write("c.yaml", inputs_.configuration("plugins: {path: [" + here("plugins") + "]}\n")),
           "--out", here("r")});
  expect_contains(o.err, {here("plugins/libqtk_quantizer_affine.so"), "truncated"});
}

}  // namespace
}  // namespace qtk
