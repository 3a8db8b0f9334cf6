#include "report/site_errors.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace qtk::report {
namespace {

SiteError site(std::string name, int block, std::string role, double error) {
  return {std::move(name), block, std::move(role), error, 4.25};
}

TEST(ErrorsByRole, KeepTheOrderOfRolesAndSortBlocks) {
  const std::vector<SiteError> sites = {site("b", 2, "up", 0.2), site("a", 0, "q", 0.1),
                                        site("c", 1, "up", 0.4)};

  const auto roles = errors_by_role(sites);

  ASSERT_EQ(roles.size(), 2u);
  EXPECT_EQ(roles[0].role, "up");
  EXPECT_EQ(roles[1].role, "q");
  ASSERT_EQ(roles[0].blocks.size(), 2u);
  EXPECT_EQ(roles[0].blocks[0].block, 1);
  EXPECT_EQ(roles[0].blocks[1].block, 2);
  EXPECT_DOUBLE_EQ(roles[0].mean(), 0.3);
}

TEST(ErrorsByRole, LeaveOutSitesOutsideTheBlocks) {
  EXPECT_TRUE(errors_by_role({site("lm_head", -1, "lm_head", 0.2)}).empty());
}

TEST(ErrorsByRole, GatherTheExpertsOfABlock) {
  const std::vector<SiteError> sites = {site("e0", 5, "up", 0.1), site("e1", 5, "up", 0.4),
                                        site("e2", 5, "up", 0.4)};

  const auto roles = errors_by_role(sites);

  ASSERT_EQ(roles[0].blocks.size(), 1u);
  EXPECT_DOUBLE_EQ(roles[0].blocks[0].mean(), 0.3);
  EXPECT_EQ(roles[0].blocks[0].worst().site, "e1");
}

TEST(ErrorsByRole, MeanOfARoleIgnoresWhatIsNotFinite) {
  const std::vector<SiteError> sites = {site("a", 0, "q", NAN), site("b", 1, "q", 0.2),
                                        site("c", 2, "q", HUGE_VAL)};

  const auto roles = errors_by_role(sites);

  EXPECT_DOUBLE_EQ(roles[0].mean(), 0.2);
  EXPECT_TRUE(std::isnan(roles[0].blocks[0].mean()));
  EXPECT_EQ(errors_by_role({site("a", 0, "q", NAN)})[0].mean(), 0);
}

TEST(WorstSites, ComeInDescendingOrderWithTheNonFiniteFirst) {
  const std::vector<SiteError> sites = {site("a", 0, "q", 0.1), site("b", 1, "q", 0.3),
                                        site("c", 2, "q", NAN), site("d", 3, "q", 0.3),
                                        site("e", 4, "q", HUGE_VAL)};

  std::string order;
  for (const auto* worst : worst_sites(sites, 4)) order += worst->site;

  EXPECT_EQ(order, "cebd");
  EXPECT_EQ(worst_sites(sites, 10).size(), 5u);
  EXPECT_TRUE(worst_sites({}, 10).empty());
}

TEST(LargestError, IsTheLargestFiniteOne) {
  EXPECT_EQ(
      largest_error({site("a", 0, "q", 0.1), site("b", 0, "q", HUGE_VAL), site("c", 0, "q", NAN)}),
      0.1);
  EXPECT_EQ(largest_error({}), 0);
}

}  // namespace
}  // namespace qtk::report
