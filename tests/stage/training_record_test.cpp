// metrics.jsonl and sensitivity.json as the report reads them.
#include "stage/training_record.hpp"

#include "base/atomic_file.hpp"
#include "temporary_folder.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

namespace qtk::stage {
namespace {

class TrainingRecord : public testing::Test {
 protected:
  std::map<std::string, report::MetricSeries> metrics(const std::string& content) {
    write_file_atomically(folder_ / "metrics.jsonl", content);
    std::map<std::string, report::MetricSeries> found;
    for (auto& series : read_metrics(folder_ / "metrics.jsonl")) found[series.name] = series;
    return found;
  }
  std::optional<report::Sensitivity> sensitivity(const std::string& content) {
    write_file_atomically(folder_ / "sensitivity.json", content);
    return read_sensitivities(folder_ / "sensitivity.json");
  }

  TemporaryFolder folder_;
};

TEST_F(TrainingRecord, MetricsAreSeriesByName) {
  const auto found = metrics(R"({"loss": 3.5, "lr": 0.1, "step": 10, "phase": "compress"}
{"step": 10, "val_loss": 3.75}
{"loss": 3.25, "step": 20}
)");

  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found.at("loss").points,
            (std::vector<std::pair<double, double>>{{10, 3.5}, {20, 3.25}}));
  EXPECT_EQ(found.at("val_loss").points, (std::vector<std::pair<double, double>>{{10, 3.75}}));
  EXPECT_EQ(found.at("lr").points.size(), 1u);
}

TEST_F(TrainingRecord, NullIsNotANumberAndBrokenLinesAreSkipped) {
  const auto found =
      metrics("{\"step\": 1, \"loss\": null}\n[2]\n{\"loss\": 1}\n{\"step\": 2, \"lo");

  ASSERT_EQ(found.size(), 1u);
  ASSERT_EQ(found.at("loss").points.size(), 1u);
  EXPECT_TRUE(std::isnan(found.at("loss").points[0].second));
}

TEST_F(TrainingRecord, IsEmptyWithoutFiles) {
  EXPECT_TRUE(read_metrics(folder_ / "none.jsonl").empty());
  EXPECT_FALSE(read_sensitivities(folder_ / "none.json"));
}

TEST_F(TrainingRecord, SensitivitiesKnowTheirBlockAndRole) {
  const auto found = sensitivity(R"({"format": 1, "quantity": "trace", "estimator": "e",
    "entries": [{"site": "model.layers.3.mlp.up_proj", "value": 2.5, "standard_error": 0.25},
                {"site": "transformer.h.11.attn.c_attn", "value": null, "standard_error": null},
                {"site": "lm_head", "value": -1}]})");

  ASSERT_TRUE(found);
  EXPECT_EQ(found->quantity, "trace");
  ASSERT_EQ(found->sites.size(), 3u);
  EXPECT_EQ(found->sites[0].block, 3);
  EXPECT_EQ(found->sites[0].role, "up_proj");
  EXPECT_EQ(found->sites[0].value, 2.5);
  EXPECT_EQ(found->sites[0].standard_error, 0.25);
  EXPECT_EQ(found->sites[1].block, 11);
  EXPECT_TRUE(std::isnan(found->sites[1].value));
  EXPECT_EQ(found->sites[2].block, -1);
  EXPECT_TRUE(std::isnan(found->sites[2].standard_error));
}

TEST_F(TrainingRecord, WhatIsNoSensitivityFileIsLeftOut) {
  for (const char* content : {"", "[]", "{}", "{\"entries\": [{\"value\": 1}]}"})
    EXPECT_FALSE(sensitivity(content)) << content;
}

}  // namespace
}  // namespace qtk::stage
