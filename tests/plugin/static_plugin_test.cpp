// The macro's other form, which links a plugin into a program.
#define QTK_STATIC_PLUGIN linked_plugin_entry
#include "plugin/run_context.hpp"
#include "plugin_files.hpp"

#include <qtk/plugin.hpp>

#include <gtest/gtest.h>

namespace {

struct LinkedOptions {
  int64_t first = 2;
  int64_t last = 5;

  static void describe(qtk::OptionSet<LinkedOptions>& o) {
    o.field("first", &LinkedOptions::first).doc("First step.");
    o.field("last", &LinkedOptions::last).doc("Last step.");
  }
  void validate() const {
    if (first > last) throw qtk::ConfigError("first is behind last", "swap them");
  }
};

class Linked final : public qtk::Scheduler {
 public:
  explicit Linked(const LinkedOptions& options) : options_(options) {}
  std::vector<qtk::KnobSpec> knobs() const override { return {{.name = "lr"}}; }
  double value(std::string_view, int64_t, const qtk::LinearSite*) const override {
    return static_cast<double>(options_.last - options_.first);
  }

 private:
  LinkedOptions options_;
};

}  // namespace

QTK_PLUGIN(Scheduler, Linked, LinkedOptions, .name = "linked", .version = "1", .summary = "Linked")

namespace qtk::plugin {
namespace {

TEST(StaticPlugin, DescriptorSaysWhatTheMacroWasGiven) {
  const PluginDescriptor& descriptor = *linked_plugin_entry();

  EXPECT_EQ(descriptor.struct_size, sizeof(PluginDescriptor));
  EXPECT_EQ(descriptor.api_version, uint32_t{QTK_API_MAJOR << 16 | QTK_API_MINOR});
  EXPECT_STREQ(descriptor.kind, "scheduler");
  EXPECT_STREQ(descriptor.info.name, "linked");
  EXPECT_STREQ(descriptor.fingerprint, QTK_FINGERPRINT);
}

TEST(StaticPlugin, MakesAndDestroysObjects) {
  const PluginDescriptor& descriptor = *linked_plugin_entry();
  CoreRunContext context({});
  const OptionValues values{{"last", int64_t{9}}};
  PluginFailure failure;

  void* object = descriptor.create(&values, &context, &failure);

  ASSERT_NE(object, nullptr);
  EXPECT_EQ(failure.code, 0);
  EXPECT_EQ(static_cast<Scheduler*>(object)->value("lr", 0, nullptr), 7.0);
  descriptor.destroy(object);
}

TEST(StaticPlugin, RulesOverSeveralOptionsBecomeAFailure) {
  const PluginDescriptor& descriptor = *linked_plugin_entry();
  CoreRunContext context({});
  const OptionValues values{{"first", int64_t{9}}};
  PluginFailure failure;

  EXPECT_EQ(descriptor.create(&values, &context, &failure), nullptr);
  EXPECT_EQ(failure.code, static_cast<int>(ExitCode::kConfig));
  EXPECT_STREQ(failure.sentence, "first is behind last");
  EXPECT_STREQ(failure.remedy, "swap them");
}

TEST(StaticPlugin, LongTextIsCutNotOverrun) {
  PluginFailure failure;

  qtk::detail::contain(&failure,
                       [] { throw DataError(std::string(5000, 'a'), std::string(5000, 'b')); });

  EXPECT_EQ(std::string(failure.sentence), std::string(sizeof failure.sentence - 1, 'a'));
  EXPECT_EQ(std::string(failure.remedy), std::string(sizeof failure.remedy - 1, 'b'));
}

}  // namespace
}  // namespace qtk::plugin
