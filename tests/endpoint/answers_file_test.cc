#include "endpoint/answers_file.h"

#include <gtest/gtest.h>

#include "base/mapped_file.h"
#include "tests/support/expect.h"
#include "tests/support/temp_dir.h"

namespace merope {
namespace {

class AnswersFileTest : public ::testing::Test {
 protected:
  TempDir directory_;
  std::string path_ = directory_.File("answers.jsonl");
};

TEST_F(AnswersFileTest, GivesWhatItWasGivenAlsoAfterACutLine) {
  {
    const auto file = AnswersFile::Open(path_);
    ASSERT_TRUE(file) << ErrorOf(file);
    EXPECT_FALSE((*file)->Find("/a", "q"));
    ASSERT_TRUE((*file)->Add("/a", "q", {.status = 200, .body = "first\nline \xc3\xbc"}));
    ASSERT_TRUE((*file)->Add("/a", "", {.status = 404, .body = ""}));
    EXPECT_EQ((*file)->Find("/a", "q")->body, "first\nline \xc3\xbc");
  }
  const std::string whole = *ReadFile(path_);
  ASSERT_TRUE(WriteFile(path_, whole + "{\"path\": \"/b\", \"requ"));
  {
    const auto file = AnswersFile::Open(path_);
    ASSERT_TRUE(file) << ErrorOf(file);
    EXPECT_EQ((*file)->Find("/a", "q")->status, 200);
    EXPECT_EQ((*file)->Find("/a", "")->status, 404);
    EXPECT_FALSE((*file)->Find("/b", ""));
    ASSERT_TRUE((*file)->Add("/b", "", {.status = 200, .body = "{}"}));
  }
  const auto file = AnswersFile::Open(path_);
  ASSERT_TRUE(file) << ErrorOf(file);
  EXPECT_EQ((*file)->Find("/b", "")->body, "{}");
}

TEST_F(AnswersFileTest, OtherFilesAreRefusedAndKept) {
  for (const char* text :
       {"no JSON\n", "no JSON", "[]\n", "{}\n",
        "{\"path\": \"a\", \"request\": \"\", \"body\": \"\"}\n",
        "{\"path\": 3, \"request\": \"\", \"body\": \"\", \"status\": 200}\n",
        "{\"path\": \"a\", \"request\": \"\", \"body\": \"\", \"status\": 0}\n"}) {
    ASSERT_TRUE(WriteFile(path_, text));
    EXPECT_TRUE(Contains(ErrorOf(AnswersFile::Open(path_)), "answers.jsonl: line 1: ")) << text;
    EXPECT_EQ(*ReadFile(path_), text);
  }
  EXPECT_FALSE(AnswersFile::Open(directory_.File("no/such/folder")));
}

}  // namespace
}  // namespace merope
