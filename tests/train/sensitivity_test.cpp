// sensitivity.json, groups and the journal behind both.
#include "../stage/stage_fixtures.hpp"
#include "base/atomic_file.hpp"
#include "train/sensitivity_file.hpp"
#include "train/sensitivity_groups.hpp"
#include "train/work_journal.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace qtk::train {
namespace {

using stage::sentence_of;

LinearSite site_of(const std::string& name, int block) {
  return {.name = name, .block = block, .role = name.substr(name.rfind('.') + 1)};
}

const std::vector<LinearSite>& sites() {
  static const std::vector<LinearSite> all = {
      site_of("model.layers.0.q_proj", 0), site_of("model.layers.0.up_proj", 0),
      site_of("model.layers.1.q_proj", 1), site_of("lm_head", -1)};
  return all;
}

SensitivityTable table() {
  return {.quantity = "hessian_trace",
          .model_fingerprint = "m1",
          .data_fingerprint = "d1",
          .entries = {{sites()[0].name, 1.0 / 3, 0.3, 10, 0.4},
                      {sites()[1].name, 5, 0.4, 30, 0.3},
                      {sites()[2].name, -2, 0.1, 10, 0, {"negative"}},
                      {sites()[3].name, 8, 0, 90}}};
}

std::string role_of(const LinearSite& site) { return site.role; }
std::string block_of(const LinearSite& site) {
  return site.block < 0 ? "" : "layer " + std::to_string(site.block);
}

class SensitivityFile : public ::testing::Test {
 protected:
  std::string refusal(const std::string& model = "m1") const {
    return sentence_of<DataError>([&] { read_sensitivity(path_, model, sites()); });
  }
  TemporaryFolder scratch_;
  const std::filesystem::path path_ = scratch_ / "sensitivity.json";
};

TEST_F(SensitivityFile, ComesBackBitForBit) {
  auto written = table();
  written.entries[3].value = std::numeric_limits<double>::quiet_NaN();
  written.entries[3].group = "heads";
  write_sensitivity(path_, written, {.estimator = "hutchpp", .counts = {7, 5}});

  const auto read = read_sensitivity(path_, "m1", sites());

  EXPECT_EQ(read.quantity, written.quantity);
  EXPECT_EQ(read.data_fingerprint, "d1");
  ASSERT_EQ(read.entries.size(), 4u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(read.entries[i].site, written.entries[i].site);
    EXPECT_EQ(read.entries[i].value, written.entries[i].value);
    EXPECT_EQ(read.entries[i].standard_error, written.entries[i].standard_error);
    EXPECT_EQ(read.entries[i].sampling_error, written.entries[i].sampling_error);
    EXPECT_EQ(read.entries[i].num_parameters, written.entries[i].num_parameters);
    EXPECT_EQ(read.entries[i].flags, written.entries[i].flags);
  }
  EXPECT_TRUE(std::isnan(read.entries[3].value));
  EXPECT_EQ(read.entries[3].group, "heads");
}

TEST_F(SensitivityFile, OfAnotherModelIsRefused) {
  write_sensitivity(path_, table(), {});

  stage::expect_contains(refusal("m2"), {"sensitivity.json", "m1", "m2", "measure again"});
  EXPECT_NO_THROW(read_sensitivity(path_, "", sites()));
}

TEST_F(SensitivityFile, NamesThatTheModelDoesNotHaveAndDoubledRowsAreRefused) {
  auto other = table();
  other.entries[1].site = "model.layers.7.up_proj";
  write_sensitivity(path_, other, {});
  stage::expect_contains(refusal(), {"does not have", "model.layers.7.up_proj"});

  other.entries[1].site = other.entries[0].site;
  write_sensitivity(path_, other, {});
  stage::expect_contains(refusal(), {"two rows for model.layers.0.q_proj"});
}

TEST_F(SensitivityFile, DamageIsRefused) {
  write_sensitivity(path_, table(), {});
  const std::string whole = stage::bytes_in(path_);
  for (const std::string& content : {whole.substr(0, whole.size() / 2), std::string("{}"),
                                     std::string("[1]"), std::string("")}) {
    write_file_atomically(path_, content);
    stage::expect_contains(refusal(), {"sensitivity.json"});
  }
}

TEST(SensitivityGroups, MembersShareTheMeanAndItsError) {
  const auto grouped_table = grouped(table(), sites(), block_of);

  for (const size_t i : {0, 1}) {
    const auto& entry = grouped_table.entries[i];
    EXPECT_EQ(entry.site, sites()[i].name);
    EXPECT_EQ(entry.group, "layer 0");
    EXPECT_DOUBLE_EQ(entry.value, (1.0 / 3 + 5) / 2);
    EXPECT_DOUBLE_EQ(entry.standard_error, 0.5 / 2);
    EXPECT_DOUBLE_EQ(entry.sampling_error, 0.5 / 2);
    EXPECT_EQ(entry.num_parameters, 20);
  }
  EXPECT_EQ(grouped_table.entries[2].value, -2);
  EXPECT_EQ(grouped_table.entries[3].value, 8);  // stands alone
  EXPECT_EQ(grouped_table.entries[3].group, "");
}

TEST(SensitivityGroups, FlagsAreThoseOfTheMean) {
  auto mixed = table();
  mixed.entries[0].value = 1;
  mixed.entries[0].flags = {"target_error_missed"};

  const auto entries = grouped(mixed, sites(), role_of).entries;  // 1 and -2

  EXPECT_DOUBLE_EQ(entries[0].value, -0.5);
  EXPECT_EQ(entries[0].flags, (std::vector<std::string>{"negative", "target_error_missed"}));
  EXPECT_EQ(entries[2].flags, entries[0].flags);
  mixed.entries[0].value = 3;
  EXPECT_EQ(grouped(mixed, sites(), role_of).entries[2].flags,
            std::vector<std::string>{"target_error_missed"});
}

class WorkJournalTest : public ::testing::Test {
 protected:
  TemporaryFolder scratch_;
  const std::filesystem::path path_ = scratch_ / "journal.jsonl";
  const FinishedUnit unit_{{1.0 / 3, -1e-300}, {4, 3}};
};

TEST_F(WorkJournalTest, KeepsUnitsExactly) {
  WorkJournal(path_, "a").keep("one", unit_);

  const auto found = WorkJournal(path_, "a").find("one");

  ASSERT_TRUE(found);
  EXPECT_EQ(found->values, unit_.values);
  EXPECT_EQ(found->counts, unit_.counts);
  EXPECT_FALSE(WorkJournal(path_, "a").find("two"));
}

TEST_F(WorkJournalTest, OfOtherSettingsIsBegunAnew) {
  WorkJournal(path_, "a").keep("one", unit_);

  EXPECT_EQ(WorkJournal(path_, "b").size(), 0);
  EXPECT_EQ(WorkJournal(path_, "a").size(), 0);
}

TEST_F(WorkJournalTest, CutAnywhereItKeepsTheWholeLines) {
  {
    WorkJournal journal(path_, "a");
    for (const char* key : {"one", "two", "three"}) journal.keep(key, unit_);
  }
  const std::string whole = stage::bytes_in(path_);
  int64_t last = 0;
  for (size_t length = 0; length <= whole.size(); length += 7) {
    write_file_atomically(path_, whole.substr(0, length));
    WorkJournal journal(path_, "a");
    const auto lines = std::count(whole.begin(), whole.begin() + length, '\n');
    EXPECT_EQ(journal.size(), std::max<int64_t>(0, lines - 1)) << length;
    last = journal.size();
    journal.keep("after", unit_);
    EXPECT_EQ(WorkJournal(path_, "a").size(), last + 1);
  }
  EXPECT_GE(last, 2);
}

TEST_F(WorkJournalTest, AChangedByteEndsWhatCounts) {
  {
    WorkJournal journal(path_, "a");
    for (const char* key : {"one", "two"}) journal.keep(key, unit_);
  }
  std::string changed = stage::bytes_in(path_);
  changed[changed.find("\"two\"") + 2] = 'x';
  write_file_atomically(path_, changed);

  WorkJournal journal(path_, "a");

  EXPECT_TRUE(journal.find("one"));
  EXPECT_EQ(journal.size(), 1);
}

}  // namespace
}  // namespace qtk::train
