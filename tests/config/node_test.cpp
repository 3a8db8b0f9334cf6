#include "config/node.hpp"

#include "config/fixture.hpp"

#include <gtest/gtest.h>

namespace qtk::config {
namespace {

TEST(Node, MergesMapsKeyByKeyAndReplacesTheRest) {
  Node base = parsed("a: {x: 1, y: [1, 2], z: {w: 3}}\nb: 1\n", "base.yaml");

  base.merge(parsed("a: {y: [3], z: 4, new: 5}\n", "over.yaml"));

  EXPECT_EQ(find_path(base, "a.x")->text(), "1");
  ASSERT_EQ(find_path(base, "a.y")->items().size(), 1u);
  EXPECT_EQ(find_path(base, "a.z")->text(), "4");
  EXPECT_EQ(find_path(base, "a.new")->text(), "5");
  EXPECT_EQ(find_path(base, "b")->text(), "1");
}

TEST(Node, KeepsThePlaceOfWhatWonTheMerge) {
  Node base = parsed("a: 1\nb: 2\n", "base.yaml");

  base.merge(parsed("# moved\nb: 3\n", "over.yaml"));

  EXPECT_EQ(to_string(base.find("a")->mark()), "base.yaml:1:4");
  EXPECT_EQ(to_string(base.find("b")->mark()), "over.yaml:2:4");
  EXPECT_EQ(to_string(base.keys()[1].mark), "over.yaml:2:1");
}

TEST(Node, DoesNotMergeOptionsOfTwoPlugins) {
  Node base = parsed("q: {use: affine, options: {bits: 4}}");
  Node same = base;

  base.merge(parsed("q: {use: hestia, options: {tau: 1}}"));
  same.merge(parsed("q: {use: affine, options: {tau: 1}}"));

  EXPECT_EQ(find_path(base, "q.options.bits"), nullptr);
  EXPECT_NE(find_path(same, "q.options.bits"), nullptr);
}

TEST(Node, FindsPathsThroughMapsAndLists) {
  const Node root = parsed("a:\n  - {b: 1}\n  - [2, 3]\n");

  EXPECT_EQ(find_path(root, "a.0.b")->text(), "1");
  EXPECT_EQ(find_path(root, "a.1.1")->text(), "3");
  for (const char* absent : {"a.2", "a.x", "a.0.c", "a.0.b.c", "b", "a.-1", "a.00x"})
    EXPECT_EQ(find_path(root, absent), nullptr) << absent;
}

TEST(Node, SetReplacesAndEraseRemoves) {
  Node map = parsed("a: 1\nb: 2\n");

  map.set({"a", {"y", 1, 1}}, Node::scalar("3"));
  map.set({"c", {}}, Node::scalar("4"));
  map.erase("b");
  map.erase("nothing");

  ASSERT_EQ(map.keys().size(), 2u);
  EXPECT_EQ(map.find("a")->text(), "3");
  EXPECT_EQ(map.keys()[0].mark.file, "y");
  EXPECT_EQ(map.find("c")->text(), "4");
}

TEST(Node, CountsKeysAndValues) {
  EXPECT_EQ(count_nodes(parsed("a: [1, 2]\nb: {c: d}\n")), 1 + 2 + 2 + 2 + 2);
}

}  // namespace
}  // namespace qtk::config
