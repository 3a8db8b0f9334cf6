// qtk run, qtk validate
#include "command_line.hpp"
#include "verb.hpp"

#include "base/logging.hpp"
#include "config/diagnostics.hpp"
#include "stage/pipeline.hpp"

#include <qtk/runtime/error.hpp>

#include <nlohmann/json.hpp>

#include <iostream>

namespace qtk::app {
namespace {

namespace po = boost::program_options;
using Texts = std::vector<std::string>;

/// As it could be pasted into a shell.
std::string quoted(Arguments words) {
  std::string line = "qtk run";
  for (const auto& word : words) {
    const bool is_plain = word.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./=:,+-") ==
                          std::string::npos && !word.empty();
    std::string text = word;
    for (size_t at = 0; (at = text.find('\'', at)) != std::string::npos; at += 4) text.replace(at, 1, "'\\''");
    line += is_plain ? " " + word : " '" + text + "'";
  }
  return line;
}

stage::Resume resume_from(const std::string& word) {
  if (word == "auto") return stage::Resume::kAuto;
  if (word == "never") return stage::Resume::kNever;
  throw ConfigError("--resume=" + word + " is unknown", "use auto or never");
}

}  // namespace

int run(Arguments arguments) {
  CommandLine line("qtk run CONFIG [--set a.b=c ...] [--out DIR]",
                   "Runs the stages of a configuration. Finished steps of an earlier run with the same inputs are skipped.",
                   "qtk run configs/quickstart.yaml --set quantizer.options.group_size=32 --out runs/g32");
  line.flags()("config", po::value<std::string>(), "the YAML file")(
      "set", po::value<Texts>()->composing(), "overrides one value, for example --set seed=7; repeatable")(
      "out", po::value<std::string>(), "the run folder; default: a new one below `out:` of the configuration")(
      "resume", po::value<std::string>()->default_value("auto"), "auto: continue a run with the same inputs; never: afresh")(
      "until", po::value<std::string>()->default_value(""), "last stage to run");
  line.positional("config");
  line.parse(arguments);
  stage::RunRequest request{.config = line.required("config"),
                            .overrides = line.texts("set"),
                            .resume = resume_from(line.text("resume")),
                            .until = line.text("until"),
                            .command = quoted(arguments)};
  if (line.has("out")) request.folder = line.text("out");
  for (const auto& text : stage::run(request)) std::cout << text << "\n";
  return 0;
}

int validate(Arguments arguments) {
  CommandLine line("qtk validate CONFIG... [--set a.b=c ...] [--json]",
                   "Checks configurations: keys, values, plugins, their options, files. Opens no model.",
                   "qtk validate configs/*.yaml");
  line.flags()("config", po::value<Texts>(), "YAML files")("set", po::value<Texts>()->composing(), "overrides one value")(
      "json", "one JSON object on stdout");
  line.positional("config", -1);
  line.parse(arguments);
  if (line.texts("config").empty()) throw ConfigError("no configuration given", "usage: qtk validate CONFIG...");
  nlohmann::json results = nlohmann::json::array();
  bool is_valid = true;
  for (const auto& config : line.texts("config")) try {
      nlohmann::json warnings = nlohmann::json::array();
      for (const auto& warning : stage::validate_config(config, line.texts("set"))) {
        warnings.push_back(config::to_string(warning));
        core_log().warn(config::to_string(warning));
      }
      results.push_back({{"config", config}, {"valid", true}, {"warnings", warnings}});
      if (!line.has("json")) std::cout << config << ": valid\n";
    } catch (const ConfigError& error) {
      is_valid = false;
      results.push_back({{"config", config}, {"valid", false}, {"errors", error.what()}});
      std::cerr << "error[config]: " << error.what() << "\n";
    }
  if (line.has("json")) std::cout << nlohmann::json{{"valid", is_valid}, {"configs", results}}.dump(2) << "\n";
  return is_valid ? 0 : static_cast<int>(ExitCode::kConfig);
}

}  // namespace qtk::app
