// Compiled once for each case, with the name "macro" and the kind "scheduler" as qtk_add_plugin
// would set them.
#include "constant.hpp"

#if defined(CORRECT)
QTK_PLUGIN(Scheduler, Constant, qtk::NoOptions, .name = "macro", .version = "1", .summary = "Fine")
#elif defined(MISSING_NAME)
QTK_PLUGIN(Scheduler, Constant, qtk::NoOptions, .version = "1", .summary = "No name")
#elif defined(TWO_LINES)
QTK_PLUGIN(Scheduler, Constant, qtk::NoOptions, .name = "macro", .version = "1",
           .summary = "Two\nlines")
#elif defined(OTHER_NAME)
QTK_PLUGIN(Scheduler, Constant, qtk::NoOptions, .name = "micro", .version = "1",
           .summary = "Another name")
#elif defined(OTHER_KIND)
class Estimate final : public qtk::Estimator {
  qtk::SensitivityTable estimate(qtk::ModelProbe&) override { return {}; }
};
QTK_PLUGIN(Estimator, Estimate, qtk::NoOptions, .name = "macro", .version = "1",
           .summary = "Another kind")
#elif defined(NO_INTERFACE)
QTK_PLUGIN(Logger, Constant, qtk::NoOptions, .name = "macro", .version = "1",
           .summary = "No interface")
#elif defined(OTHER_CLASS)
struct Unrelated {};
QTK_PLUGIN(Scheduler, Unrelated, qtk::NoOptions, .name = "macro", .version = "1",
           .summary = "Another class")
#elif defined(NO_CONSTRUCTOR)
class NeedsMore final : public Constant {
 public:
  NeedsMore(qtk::NoOptions, int) {}
};
QTK_PLUGIN(Scheduler, NeedsMore, qtk::NoOptions, .name = "macro", .version = "1",
           .summary = "No constructor")
#endif
