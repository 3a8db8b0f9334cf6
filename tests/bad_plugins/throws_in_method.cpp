#include "constant.hpp"

namespace {

class ThrowsInMethod final : public Constant {
 public:
  double value(std::string_view knob, int64_t, const qtk::LinearSite*) const override {
    throw std::out_of_range("no row for " + std::string(knob));
  }
};

}  // namespace

QTK_PLUGIN(Scheduler, ThrowsInMethod, qtk::NoOptions, .name = "throws_in_method", .version = "1",
           .summary = "Bad")
