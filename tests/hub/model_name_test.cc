#include "hub/model_name.h"

#include <gtest/gtest.h>

namespace merope {
namespace {

TEST(ModelName, Parses) {
  const auto plain = ParseModelName("PleIAs/Pleias-RAG-350M");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->id, "PleIAs/Pleias-RAG-350M");
  EXPECT_EQ(plain->revision, "");
  const auto revised = ParseModelName("a/b.c_d@refs/pr/1");
  ASSERT_TRUE(revised);
  EXPECT_EQ(revised->id, "a/b.c_d");
  EXPECT_EQ(revised->revision, "refs/pr/1");
  EXPECT_EQ(revised->Text(), "a/b.c_d@refs/pr/1");
}

TEST(ModelName, RefusesWhatCouldLeaveTheCache) {
  for (const char* text : {"", "a", "/a", "a/", "a/b/c", "../a", "a/..", "a/.b", "a/b..c", "a/b@",
                           "a/b@..", "a/b@../c", "a/b@c/", "a/b@/c", "a b/c", "a/b@c@d", "-a/b"})
    EXPECT_FALSE(ParseModelName(text)) << text;
}

}  // namespace
}  // namespace merope
