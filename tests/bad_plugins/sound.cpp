#include "constant.hpp"

namespace {

struct SoundOptions {
  double level = 1.0;

  static void describe(qtk::OptionSet<SoundOptions>& o) {
    o.field("level", &SoundOptions::level).range(0, 10).doc("The value of the knob.");
  }
};

/// Tells the tests when it is made and destroyed.
class Sound final : public Constant {
 public:
  Sound(SoundOptions options, qtk::RunContext& context) : options_(options), context_(context) {
    context_.metric("made", options_.level, 0);
  }
  ~Sound() override { context_.metric("destroyed", options_.level, 0); }
  double value(std::string_view, int64_t, const qtk::LinearSite*) const override {
    return options_.level;
  }

 private:
  SoundOptions options_;
  qtk::RunContext& context_;
};

}  // namespace

QTK_PLUGIN(Scheduler, Sound, SoundOptions, .name = "sound", .version = "1.2.3",
           .summary = "Nothing is wrong with it", .paper = "M\xc3\xbcller, 2024")
