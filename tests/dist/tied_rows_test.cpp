#include "dist/tied_rows.hpp"

#include "ranks.hpp"

#include <ATen/ATen.h>

namespace qtk::dist {
namespace {

at::Tensor owners_table() { return at::arange(15, at::kFloat).view({5, 3}); }

TEST(TiedRowsTest, TheFirstStageGetsTheRowsOfItsTokensAndGivesTheirGradientsBack) {
  const Ranks ranks(1, 3);
  ranks.run([](World& world) {
    if (world.mesh().stage() == 1) return;  // has no part in it
    TiedRows tied(world.ends());
    const at::Tensor ids = at::tensor({1, 4}, at::kLong);
    const bool is_owner = world.mesh().is_last();

    at::Tensor table = (is_owner ? owners_table() : at::full({5, 3}, -1.0F)).requires_grad_();
    tied.fetch(table, ids);

    at::Tensor expected = at::full({5, 3}, -1.0F);
    if (is_owner)
      expected = owners_table();
    else
      expected.index_copy_(0, ids, owners_table().index_select(0, ids));
    EXPECT_TRUE(at::equal(table.detach(), expected));

    at::Tensor gradient = at::full({5, 3}, is_owner ? 100.0F : 1.0F);
    tied.give_back(gradient, ids);

    at::Tensor sum = at::full({5, 3}, is_owner ? 100.0F : 1.0F);
    if (is_owner) sum.index_fill_(0, ids, 101);
    EXPECT_TRUE(at::equal(gradient, sum));
    EXPECT_EQ(tied.sent_bytes(), 2 * 3 * 4);
  });
}

TEST(TiedRowsTest, WhatCrossesTheNetworkFollowsTheTokens) {
  const Ranks ranks(1, 2);
  ranks.run([](World& world) {
    TiedRows tied(world.ends());
    at::Tensor table = at::zeros({1000, 8});
    for (const int64_t tokens : {1, 0, 7}) {
      const at::Tensor ids = at::arange(tokens, at::kLong);
      tied.fetch(table, ids);
    }
    EXPECT_EQ(tied.sent_bytes(), world.mesh().is_last() ? 8 * 8 * 4 : 0);
  });
}

}  // namespace
}  // namespace qtk::dist
