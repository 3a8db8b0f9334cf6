// qtk bench comm: what compressors make of the tensor between two pipeline stages
#include "base/device.hpp"
#include "base/interrupt.hpp"
#include "base/progress.hpp"
#include "bench.hpp"
#include "command_line.hpp"
#include "plugin/registry.hpp"
#include "plugin/run_context.hpp"
#include "stage/compressor_benchmark.hpp"
#include "stage/environment.hpp"

#include <qtk/options/option_value.hpp>
#include <qtk/runtime/error.hpp>
#include <qtk/storage_dtype.hpp>

#include <ATen/Parallel.h>
#include <nlohmann/json.hpp>

#include <charconv>
#include <cstdio>
#include <iostream>

namespace qtk::app {
namespace {

namespace po = boost::program_options;
using nlohmann::json;
using stage::BoundaryData;
using stage::BoundaryShape;
using Texts = std::vector<std::string>;

/// One compressor on one tensor; `problem` says why there are no figures.
struct Case {
  dist::CompressorChoice choice;
  stage::CompressorFigures figures;
  std::string problem;
};

BoundaryShape parse_shape(const std::string& text) {
  BoundaryShape shape{};
  const char *at = text.data(), *end = text.data() + text.size();
  for (size_t i = 0; i < shape.size(); ++i) {
    const auto read = std::from_chars(at, end, shape[i]);
    const bool is_last = i + 1 == shape.size();
    if (read.ec != std::errc() || shape[i] < 1 || shape[i] > (1 << 24) ||
        (is_last ? read.ptr != end : read.ptr == end || *read.ptr != ','))
      throw ConfigError("--shape " + text + " is no shape",
                        "write B,S,C: windows, tokens, channels, for example 1,1024,1600");
    at = read.ptr + 1;
  }
  if (shape[0] * shape[1] > (int64_t{1} << 31) / shape[2])
    throw ConfigError("--shape " + text + " has more than 2^31 elements", "use a smaller one");
  return shape;
}

std::vector<BoundaryShape> shapes_of(const CommandLine& line) {
  std::vector<BoundaryShape> shapes;
  for (const auto& text : line.texts("shape")) shapes.push_back(parse_shape(text));
  if (!shapes.empty()) return shapes;
  if (line.has("model")) return {{1, 512, 0}};
  return {{1, 1024, 768}, {1, 1024, 1600}, {1, 1024, 4096}};
}

BoundaryData data_of(const CommandLine& line, const BoundaryShape& shape, at::ScalarType dtype,
                     RunContext& context) {
  if (!line.has("model"))
    return stage::random_boundary(shape, dtype, context.device(),
                                  static_cast<uint64_t>(line.count("seed")));
  auto data = stage::captured_boundary(line.text("model"), line.required("text"),
                                       line.count("layer"), shape[0], shape[1], dtype, context);
  if (shape[2] != 0 && shape[2] != data.first.size(2))
    throw ConfigError("--shape asks for " + std::to_string(shape[2]) + " channels, but " +
                          line.text("model") + " has " + std::to_string(data.first.size(2)),
                      "give the model's number of channels");
  return data;
}

std::vector<dist::CompressorChoice> choices_of(const CommandLine& line) {
  auto choices =
      line.has("only") ? dist::compressor_choices(line.text("only")) : dist::found_compressors();
  if (line.has("compare"))
    for (auto& choice : dist::compressor_choices(line.text("compare")))
      if (std::ranges::find(choices, choice.label, &dist::CompressorChoice::label) == choices.end())
        choices.push_back(std::move(choice));
  if (choices.empty()) throw PluginError("no compressor plugin was found", "see `qtk list comm`");
  return choices;
}

/// A compressor that cannot work on a tensor, or on the device, is a result too.
Case measured(const dist::CompressorChoice& choice, const BoundaryData& data, int64_t repeats,
              RunContext& context) {
  Case result{choice, {}, {}};
  try {
    result.figures = stage::benchmark_compressor(choice, data, repeats, context);
  } catch (const Error& error) {
    if (error.code() == ExitCode::kInterrupted || error.code() == ExitCode::kPreempted) throw;
    result.problem = error.what();
  }
  return result;
}

json time_json(const stage::RepeatedTime& time) {
  return {
      {"median_s", time.median_s}, {"fastest_s", time.fastest_s}, {"slowest_s", time.slowest_s}};
}

json case_json(const Case& measured, const BoundaryData& data) {
  json options = json::object();
  for (const auto& [name, value] : measured.choice.options)
    options[name] = option_value_text(value);
  json entry = {{"compressor", measured.choice.label},
                {"use", measured.choice.use},
                {"options", options},
                {"shape", data.first.sizes().vec()},
                {"data", data.description}};
  if (!measured.problem.empty()) {
    entry["problem"] = measured.problem;
    return entry;
  }
  const auto& f = measured.figures;
  entry.update({{"bytes", f.bytes},
                {"bits_per_element", f.bits_per_element},
                {"relative_error", f.relative_error},
                {"largest_error", f.largest_error},
                {"revisit_relative_error", f.revisit_relative_error},
                {"encode", time_json(f.encode)},
                {"decode", time_json(f.decode)}});
  return entry;
}

void print_head(const BoundaryData& data) {
  std::printf(
      "\n[%lld, %lld, %lld]  %s\n%-28s %11s %9s %10s %10s %10s %22s %22s\n",
      static_cast<long long>(data.first.size(0)), static_cast<long long>(data.first.size(1)),
      static_cast<long long>(data.first.size(2)), data.description.c_str(), "compressor", "bytes",
      "bits/elem", "rel.error", "max.error", "2nd visit", "encode ms (range)", "decode ms (range)");
}

std::string time_text(const stage::RepeatedTime& time) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.3f (%.3f-%.3f)", 1e3 * time.median_s,
                1e3 * time.fastest_s, 1e3 * time.slowest_s);
  return text.data();
}

void print_case(const Case& measured) {
  const auto& f = measured.figures;
  if (!measured.problem.empty())
    std::printf("%-28s not measured: %s\n", measured.choice.label.c_str(),
                measured.problem.c_str());
  else
    std::printf("%-28s %11lld %9.3f %10.5f %10.4f %10.5f %22s %22s\n",
                measured.choice.label.c_str(), static_cast<long long>(f.bytes), f.bits_per_element,
                f.relative_error, f.largest_error, f.revisit_relative_error,
                time_text(f.encode).c_str(), time_text(f.decode).c_str());
}

void declare_comm_flags(CommandLine& line) {
  line.flags()("shape", po::value<Texts>()->composing()->multitoken(),
               "B,S,C of the tensor; several may follow")(
      "dtype", po::value<std::string>()->default_value("f32"), "of the tensor: f32, bf16, f16")(
      "device", po::value<std::string>()->default_value("cpu"), "cpu, cuda, cuda:<number> or auto")(
      "threads", po::value<int64_t>()->default_value(0), "CPU threads; 0: all cores")(
      "model", po::value<std::string>(), "measure on the activations of this model")(
      "text", po::value<std::string>(), "with --model: the text it reads")(
      "layer", po::value<int64_t>()->default_value(1),
      "with --model: the boundary after this layer")(
      "compare", po::value<std::string>(),
      "also these: NAME:OPTION=VALUE:...,NAME,... beside all that were found")(
      "only", po::value<std::string>(), "these instead of all that were found")(
      "repeats", po::value<int64_t>()->default_value(9), "of which times are the median")(
      "seed", po::value<int64_t>()->default_value(0), "of the random tensor")(
      "plugin-path", po::value<Texts>()->composing(),
      "folder with plugins, searched first; repeatable")("json", "one JSON object on stdout");
}

json measure_all(const CommandLine& line, RunContext& context) {
  const auto choices = choices_of(line);
  const auto shapes = shapes_of(line);
  const auto dtype = storage_dtype(line.text("dtype"));
  const int64_t repeats = line.count("repeats");
  Progress progress("bench comm", static_cast<int64_t>(shapes.size() * choices.size()), "case");
  json cases = json::array();
  for (const auto& shape : shapes) {
    const auto data = data_of(line, shape, dtype, context);
    if (!line.has("json")) print_head(data);
    for (const auto& choice : choices) {
      progress.note(choice.label);
      const Case result = measured(choice, data, repeats, context);
      cases.push_back(case_json(result, data));
      if (!line.has("json")) print_case(result);
      progress.advance(1);
    }
  }
  return cases;
}

}  // namespace

int bench_comm(Arguments arguments) {
  CommandLine line("qtk bench comm [--shape B,S,C ...] [--compare LIST] [--model DIR --text FILE]",
                   "Measures compressors of pipeline links: size, error and time of a message.",
                   "qtk bench comm --shape 1,1024,1600 --compare fixpoint:bits=4,none:dtype=bf16");
  declare_comm_flags(line);
  line.parse(arguments);
  if (line.count("repeats") == 0) throw ConfigError("--repeats is 0", "expected 1 or more");
  std::vector<std::filesystem::path> paths;
  for (const auto& path : line.texts("plugin-path")) paths.emplace_back(path);
  plugin::registry().configure(plugin::default_load_options(paths));
  if (line.count("threads") > 0) at::set_num_threads(static_cast<int>(line.count("threads")));
  watch_interrupts();
  plugin::CoreRunContext context{
      plugin::RunContextInit{.device = open_device(line.text("device"))}};
  const std::string machine = stage::machine_text(context.device());
  if (!line.has("json"))
    std::printf(
        "%s on %s (%s); median of %lld repeats; errors are ||y - x|| / ||x|| and max |y - x|;"
        "\n2nd visit: the same samples with noise of 5 %% of each channel's root mean square\n",
        line.text("dtype").c_str(), context.device().str().c_str(), machine.c_str(),
        static_cast<long long>(line.count("repeats")));
  const json cases = measure_all(line, context);
  if (line.has("json"))
    std::cout << json{{"device", context.device().str()},
                      {"machine", machine},
                      {"dtype", line.text("dtype")},
                      {"repeats", line.count("repeats")},
                      {"cases", cases}}
                     .dump(2)
              << "\n";
  const bool has_any =
      std::ranges::any_of(cases, [](const json& entry) { return !entry.contains("problem"); });
  if (!has_any)
    throw PluginError("no compressor could be measured",
                      cases.empty() ? "" : cases[0]["problem"].get<std::string>());
  return 0;
}

}  // namespace qtk::app
