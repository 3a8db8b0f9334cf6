#include "constant.hpp"

namespace missing_library {
double compute(int step);
}

namespace {

class UndefinedSymbol final : public Constant {
 public:
  double value(std::string_view, int64_t step, const qtk::LinearSite*) const override {
    return missing_library::compute(static_cast<int>(step));
  }
};

}  // namespace

QTK_PLUGIN(Scheduler, UndefinedSymbol, qtk::NoOptions, .name = "undefined_symbol", .version = "1",
           .summary = "Bad")
