// qtk import, qtk eval, qtk export
#include "base/device.hpp"
#include "base/interrupt.hpp"
#include "base/progress.hpp"
#include "command_line.hpp"
#include "plugin/registry.hpp"
#include "plugin/run_context.hpp"
#include "stage/environment.hpp"
#include "stage/export_model.hpp"
#include "stage/import_gguf.hpp"
#include "stage/packed_model.hpp"
#include "stage/perplexity.hpp"
#include "verb.hpp"

#include <qtk/runtime/error.hpp>

#include <ATen/Parallel.h>
#include <nlohmann/json.hpp>

#include <iostream>

namespace qtk::app {
namespace {

namespace po = boost::program_options;
using nlohmann::json;
using Texts = std::vector<std::string>;

/// Where packed models find their plugin.
std::unique_ptr<RunContext> prepare(const CommandLine& line) {
  std::vector<std::filesystem::path> paths;
  for (const auto& path : line.texts("plugin-path")) paths.emplace_back(path);
  plugin::registry().configure(plugin::default_load_options(paths));
  if (line.count("threads") > 0) at::set_num_threads(static_cast<int>(line.count("threads")));
  watch_interrupts();
  return std::make_unique<plugin::CoreRunContext>(
      plugin::RunContextInit{.device = open_device(line.text("device"))});
}

void add_model_flags(CommandLine& line) {
  line.flags()("model", po::value<std::string>(), "Hugging Face folder, dense or packed by qtk")(
      "device", po::value<std::string>()->default_value("cpu"), "cpu, cuda, cuda:<number> or auto")(
      "threads", po::value<int64_t>()->default_value(0), "CPU threads; 0: all cores")(
      "plugin-path", po::value<Texts>()->composing(),
      "folder with plugins, searched first; repeatable")("json", "one JSON object on stdout");
}

json evaluation_json(const stage::Evaluation& evaluation) {
  const auto& p = evaluation.perplexity;
  json result = {{"protocol", p.protocol},
                 {"ppl", p.ppl},
                 {"standard_error", p.standard_error},
                 {"nll", p.nll},
                 {"tokens", p.tokens},
                 {"seconds", p.seconds},
                 {"tokens_per_second", p.tokens_per_second},
                 {"peak_memory_bytes", stage::peak_memory_bytes()}};
  if (p.words > 0) result["words"] = p.words;
  if (const auto& c = evaluation.comparison)
    result["comparison"] = {{"kl_mean", c->kl_mean},
                            {"kl_median", c->kl_median},
                            {"kl_p99", c->kl_p99},
                            {"kl_max", c->kl_max},
                            {"top1", c->top1}};
  return result;
}

void print_evaluation(const stage::Evaluation& evaluation, const std::string& model) {
  const auto& p = evaluation.perplexity;
  std::printf("%s of %s: %.4f +- %.4f over %lld tokens, %.0f tokens/s\n", p.protocol.c_str(),
              model.c_str(), p.ppl, p.standard_error, static_cast<long long>(p.tokens),
              p.tokens_per_second);
  if (const auto& c = evaluation.comparison)
    std::printf(
        "against the base model: KL %.5f nat/token (median %.5f, p99 %.4f), same first choice %.2f "
        "%%\n",
        c->kl_mean, c->kl_median, c->kl_p99, 100 * c->top1);
}

}  // namespace

int import(Arguments arguments) {
  CommandLine line("qtk import --gguf FILE --out DIR",
                   "Makes a Hugging Face folder of a GGUF file.",
                   "qtk import --gguf model.Q4_1.gguf --out models/smollm2");
  line.flags()("gguf", po::value<std::string>(), "the file")("out", po::value<std::string>(),
                                                             "the folder to be made")(
      "dtype", po::value<std::string>()->default_value("f32"),
      "of the weights written: f32 (loses nothing), f16, bf16")("json",
                                                                "one JSON object on stdout");
  line.parse(arguments);
  watch_interrupts();
  const std::filesystem::path out = line.required("out");
  const auto imported =
      stage::import_gguf(line.required("gguf"), out, storage_dtype(line.text("dtype")));
  if (line.has("json"))
    std::cout << json{{"out", out.string()},
                      {"tensors", imported.num_tensors},
                      {"weights", imported.num_weights},
                      {"bytes", imported.tensor_bytes}}
                     .dump(2)
              << "\n";
  else
    std::cout << "imported " << imported.num_tensors << " tensors, " << imported.num_weights
              << " weights, " << size_text(imported.tensor_bytes) << ", to " << out.string()
              << "\n";
  return 0;
}

int evaluate(Arguments arguments) {
  CommandLine line(
      "qtk eval --model DIR --text FILE [--protocol ppl_token] [--ctx 512] [--windows 0] [--base "
      "DIR] [--json]",
      "Perplexity of a model on a text, by a named protocol.",
      "qtk eval --model models/smollm2 --text novel.txt --protocol ppl_token --ctx 512 --windows "
      "32 --json");
  add_model_flags(line);
  line.flags()("text", po::value<Texts>()->composing(), "text file; repeatable")(
      "format", po::value<std::string>()->default_value("text"), "text or wikitext")(
      "protocol", po::value<std::string>()->default_value("ppl_token"),
      "ppl_token, ppl_word or ppl_llamacpp")("ctx", po::value<int64_t>()->default_value(512),
                                             "tokens of a window")(
      "windows", po::value<int64_t>()->default_value(0), "only the first so many windows; 0: all")(
      "batch-tokens", po::value<int64_t>()->default_value(4096), "tokens of a forward pass")(
      "base", po::value<std::string>(),
      "also compare with this model: KL divergence, same first choice");
  line.parse(arguments);
  const std::string folder = line.required("model");
  stage::EvaluationText text{{}, line.text("format")};
  for (const auto& file : line.texts("text")) text.files.emplace_back(file);
  const auto context = prepare(line);
  const auto tokenizer = text::Tokenizer::load(folder);
  const auto plan = stage::plan_evaluation(tokenizer, text,
                                           {.protocol = stage::protocol_from(line.text("protocol")),
                                            .ctx = line.count("ctx"),
                                            .windows = line.count("windows"),
                                            .batch_tokens = line.count("batch-tokens")});
  const model::LoadOptions load{.device = context->device()};
  stage::OpenModel base;
  stage::BaseStates states;
  if (line.has("base")) {
    base = stage::open_model(line.text("base"), load, *context);
    stage::evaluate(*base.decoder, plan, "eval base", &states);
  }
  const auto opened = stage::open_model(folder, load, *context);
  const auto evaluation =
      stage::evaluate(*opened.decoder, plan, "eval", nullptr, states.base ? &states : nullptr);
  if (line.has("json"))
    std::cout << evaluation_json(evaluation).dump(2) << "\n";
  else
    print_evaluation(evaluation, folder);
  return 0;
}

int export_model(Arguments arguments) {
  CommandLine line(
      "qtk export --model DIR --use FORMAT --out PATH [--type T] [--dtype D] [--no-check]",
      "Writes a model in another library's format and reads it back.",
      "qtk export --model runs/x/artifacts/w4/packed --use gguf --type Q4_0 --out w4.gguf");
  add_model_flags(line);
  line.flags()("use", po::value<std::string>(), "hf-dense, gguf or compressed-tensors")(
      "type", po::value<std::string>()->default_value(""),
      "gguf: F16, Q8_0, Q4_0, Q4_1; for ternary weights TQ1_0, TQ2_0, Q2_0")(
      "dtype", po::value<std::string>()->default_value(""),
      "hf-dense, and the rest of compressed-tensors: f32, f16, bf16")(
      "out", po::value<std::string>(), "folder, or file for gguf")(
      "check", "read it back and compare; the default")("no-check", "do not read it back");
  line.parse(arguments);
  const std::string folder = line.required("model");
  const auto context = prepare(line);
  const auto opened = stage::open_model(folder, {.device = context->device()}, *context);
  const auto exported = stage::export_model(*opened.decoder, {.format = line.required("use"),
                                                              .type = line.text("type"),
                                                              .dtype = line.text("dtype"),
                                                              .source = folder,
                                                              .target = line.required("out"),
                                                              .is_checked = !line.has("no-check")});
  if (line.has("json")) {
    json files = json::array();
    for (const auto& file : exported.files) files.push_back(file.string());
    std::cout << json{{"format", exported.format},
                      {"files", files},
                      {"bytes", exported.bytes},
                      {"check", exported.check}}
                     .dump(2)
              << "\n";
  } else {
    std::cout << "exported " << exported.format << ", " << size_text(exported.bytes) << ", to "
              << line.text("out") << " (" << exported.check << ")\n";
  }
  return 0;
}

}  // namespace qtk::app
