// qtk bench: measurements of parts of a run
#include "bench.hpp"

#include "base/nearest_name.hpp"
#include "command_line.hpp"
#include "verb.hpp"

#include <qtk/runtime/error.hpp>

#include <iostream>

namespace qtk::app {
namespace {

struct Subject {
  std::string_view name, summary;
  int (*run)(Arguments);
};

constexpr Subject kSubjects[] = {
    {"comm", "compressors of pipeline links: size, error, time", bench_comm},
    {"link", "links between ranks: latency, rate, processor time; under qtk launch", bench_link},
};

int show_subjects() {
  std::cout << "Measures parts of a run.\n\nUsage: qtk bench SUBJECT [arguments]      qtk bench "
               "SUBJECT --help\n\n";
  for (const Subject& subject : kSubjects)
    std::cout << "  " << subject.name << std::string(10 - subject.name.size(), ' ')
              << subject.summary << "\n";
  std::cout << "\nFlags:\n  -h [ --help ]  show this help\n\nExample:\n  qtk bench comm --shape "
               "1,1024,1600 --json\n";
  return 0;
}

}  // namespace

int bench(Arguments arguments) {
  if (arguments.empty())
    throw ConfigError("no subject given", "usage: qtk bench SUBJECT, for example qtk bench comm");
  if (arguments[0] == "--help" || arguments[0] == "-h") return show_subjects();
  std::vector<std::string> known;
  for (const Subject& subject : kSubjects) {
    if (subject.name == arguments[0]) return subject.run(arguments.subspan(1));
    known.emplace_back(subject.name);
  }
  const std::string nearest = nearest_name(arguments[0], known);
  throw ConfigError("unknown subject '" + arguments[0] + "'" +
                        (nearest.empty() ? "" : "; did you mean '" + nearest + "'?"),
                    "subjects: " + join(known));
}

}  // namespace qtk::app
