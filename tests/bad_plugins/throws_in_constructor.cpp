#include "constant.hpp"

namespace {

struct Options {
  std::string error = "data";

  static void describe(qtk::OptionSet<Options>& o) {
    o.field("error", &Options::error)
        .one_of({"data", "torch", "memory", "number"})
        .doc("What to throw.");
  }
};

class ThrowsInConstructor final : public Constant {
 public:
  explicit ThrowsInConstructor(const Options& options) {
    if (options.error == "data")
      throw qtk::DataError("the table has 3 rows, expected 4", "fetch it again");
    if (options.error == "torch") TORCH_CHECK(false, "a tensor is not what it should be");
    if (options.error == "memory") throw std::bad_alloc();
    throw 42;
  }
};

}  // namespace

QTK_PLUGIN(Scheduler, ThrowsInConstructor, Options, .name = "throws_in_constructor", .version = "1",
           .summary = "Bad")
