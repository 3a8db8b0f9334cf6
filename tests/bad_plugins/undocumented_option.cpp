#include "constant.hpp"

namespace {

struct Options {
  int depth = 1;

  static void describe(qtk::OptionSet<Options>& o) { o.field("depth", &Options::depth); }
};

class Undocumented final : public Constant {
 public:
  explicit Undocumented(Options) {}
};

}  // namespace

QTK_PLUGIN(Scheduler, Undocumented, Options, .name = "undocumented_option", .version = "1",
           .summary = "Bad")
