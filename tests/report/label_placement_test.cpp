#include "report/label_placement.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace qtk::report {
namespace {

constexpr Box kArea = {0, 0, 400, 300};

Label label_at(double x, double y) { return {{x, y}, 60, 14}; }

Obstacles markers_of(const std::vector<Label>& labels) {
  Obstacles obstacles;
  for (const auto& [p, width, height] : labels)
    obstacles.markers.push_back({p.x - 6, p.y - 6, p.x + 6, p.y + 6});
  return obstacles;
}

TEST(Box, SharesAreaOnlyWhereBothAre) {
  EXPECT_DOUBLE_EQ((Box{0, 0, 10, 10}).overlap({5, 8, 20, 20}), 10);
  EXPECT_EQ((Box{0, 0, 10, 10}).overlap({10, 0, 20, 10}), 0);
  EXPECT_EQ((Box{0, 0, 10, 10}).overlap({20, 20, 30, 30}), 0);
}

TEST(PlaceLabels, PrefersTheRight) {
  const auto placed = place_labels({label_at(100, 100)}, kArea, {});

  ASSERT_TRUE(placed[0]);
  EXPECT_GT(placed[0]->box.left, 100);
  EXPECT_DOUBLE_EQ((placed[0]->box.top + placed[0]->box.bottom) / 2, 100);
  EXPECT_FALSE(placed[0]->needs_leader);
}

TEST(PlaceLabels, StaysInsideTheArea) {
  for (const auto& label :
       {label_at(395, 100), label_at(5, 5), label_at(395, 295), label_at(200, 2)}) {
    const auto placed = place_labels({label}, kArea, {});

    ASSERT_TRUE(placed[0]);
    EXPECT_TRUE(kArea.holds(placed[0]->box));
  }
}

TEST(PlaceLabels, KeepsCrowdedLabelsApartAndOffTheMarkers) {
  std::vector<Label> labels;
  for (int i = 0; i < 10; ++i) labels.push_back(label_at(180 + 5 * i, 150 + 3 * (i % 3)));
  const auto obstacles = markers_of(labels);

  const auto placed = place_labels(labels, kArea, obstacles);

  for (size_t i = 0; i < placed.size(); ++i) {
    ASSERT_TRUE(placed[i]) << i;
    for (size_t j = 0; j < i; ++j)
      EXPECT_EQ(placed[i]->box.overlap(placed[j]->box), 0) << i << " " << j;
    for (const auto& marker : obstacles.markers) EXPECT_EQ(placed[i]->box.overlap(marker), 0) << i;
  }
}

TEST(PlaceLabels, AsksForALineWhereALabelIsFarFromItsPoint) {
  const std::vector<Label> labels(14, label_at(200, 150));

  const auto placed = place_labels(labels, kArea, markers_of(labels));

  EXPECT_FALSE(placed.front()->needs_leader);
  EXPECT_TRUE(std::any_of(placed.begin(), placed.end(),
                          [](const auto& p) { return p && p->needs_leader; }));
}

TEST(PlaceLabels, AvoidsLinesWherePossible) {
  const Box line_to_the_right = {100, 99, 400, 101};

  const auto placed = place_labels({label_at(100, 100)}, kArea, {{}, {line_to_the_right}});

  ASSERT_TRUE(placed[0]);
  EXPECT_EQ(placed[0]->box.overlap(line_to_the_right), 0);
}

TEST(PlaceLabels, CrossesLinesBeforeGivingUp) {
  const auto placed = place_labels({label_at(100, 100)}, kArea, {{}, {kArea}});

  ASSERT_TRUE(placed[0]);
  EXPECT_FALSE(placed[0]->needs_leader);
}

TEST(PlaceLabels, GivesUpWhereThereIsNoRoom) {
  const auto placed = place_labels({label_at(10, 10)}, {0, 0, 50, 20}, {});

  EXPECT_FALSE(placed[0]);
}

}  // namespace
}  // namespace qtk::report
