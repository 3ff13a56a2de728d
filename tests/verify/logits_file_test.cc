#include "verify/logits_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <limits>

#include "base/mapped_file.h"

namespace merope {
namespace {

constexpr int64_t kVocab = 7;

// Logits that identify their prompt's token and their vocabulary index.
class NumberedLogits : public LogitSource {
 public:
  std::string name() const override { return "numbered"; }
  Status Rows(const VerifyPrompt& prompt, int64_t begin, int64_t end,
              std::span<float> rows) override {
    EXPECT_EQ(std::ssize(rows), (end - begin) * kVocab);
    for (int64_t i = begin; i < end; ++i)
      for (int64_t j = 0; j < kVocab; ++j)
        rows[static_cast<size_t>((i - begin) * kVocab + j)] =
            static_cast<float>(prompt.ids[static_cast<size_t>(i)]) + static_cast<float>(j) / 8 +
            poison;
    return {};
  }
  float poison = 0;
};

class LogitsFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = std::filesystem::temp_directory_path() /
                 ("merope-logits-" + std::to_string(::getpid()) + "-" +
                  ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(directory_);
    prompts_ = {{"first", "prose", "en", "one", {1, 2, 3}},
                {"second", "code", "code", "two \"quoted\" ü", {}}};
    for (int32_t i = 0; i < 150; ++i) prompts_[1].ids.push_back(i % 7);  // more than two chunks
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::string Path(const char* name) const { return (directory_ / name).string(); }

  std::filesystem::path directory_;
  std::vector<VerifyPrompt> prompts_;
  NumberedLogits source_;
};

void IgnoreProgress(int64_t, int64_t) {}

TEST_F(LogitsFileTest, WhatIsWrittenIsRead) {
  ASSERT_TRUE(WriteLogits(Path("l"), source_, prompts_, kVocab, IgnoreProgress));
  EXPECT_FALSE(std::filesystem::exists(Path("l.part")));
  auto file = OpenLogitsFile(Path("l"), kVocab);
  ASSERT_TRUE(file) << file.error().message;
  std::vector<float> rows(2 * kVocab);
  ASSERT_TRUE((*file)->Rows(prompts_[0], 1, 3, rows));
  EXPECT_EQ(rows[0], 2);
  EXPECT_EQ(rows[kVocab + 6], 3.75f);
  const Status last = (*file)->Rows(prompts_[1], 148, 150, rows);
  ASSERT_TRUE(last) << last.error().message;
  EXPECT_EQ(rows[kVocab], static_cast<float>(149 % 7));
}

TEST_F(LogitsFileTest, ProgressIsInPositions) {
  std::vector<std::pair<int64_t, int64_t>> seen;
  ASSERT_TRUE(WriteLogits(Path("l"), source_, prompts_, kVocab,
                          [&](int64_t done, int64_t total) { seen.emplace_back(done, total); }));
  const decltype(seen) expected = {{3, 153}, {67, 153}, {131, 153}, {153, 153}};
  EXPECT_EQ(seen, expected);
}

TEST_F(LogitsFileTest, OtherPromptsAreRefused) {
  ASSERT_TRUE(WriteLogits(Path("l"), source_, prompts_, kVocab, IgnoreProgress));
  auto file = OpenLogitsFile(Path("l"), kVocab);
  ASSERT_TRUE(file);
  std::vector<float> rows(3 * kVocab);
  VerifyPrompt missing = prompts_[0], changed = prompts_[0], longer = prompts_[0];
  missing.id = "third";
  changed.ids[2] = 5;
  longer.ids.push_back(1);
  EXPECT_NE((*file)->Rows(missing, 0, 3, rows).error().message.find("third.ids"),
            std::string::npos);
  EXPECT_NE(
      (*file)->Rows(changed, 0, 3, rows).error().message.find("first.ids: expected the token ids"),
      std::string::npos);
  EXPECT_NE((*file)
                ->Rows(longer, 0, 3, rows)
                .error()
                .message.find("expected I32 of shape (4), found I32 of shape (3)"),
            std::string::npos);
  auto other_vocab = OpenLogitsFile(Path("l"), kVocab + 1);
  ASSERT_TRUE(other_vocab);
  rows.resize(3 * (kVocab + 1));
  EXPECT_NE((*other_vocab)->Rows(prompts_[0], 0, 3, rows).error().message.find("first.logits"),
            std::string::npos);
}

TEST_F(LogitsFileTest, NotFiniteLogitsAreRefused) {
  source_.poison = std::numeric_limits<float>::quiet_NaN();
  ASSERT_TRUE(WriteLogits(Path("l"), source_, prompts_, kVocab, IgnoreProgress));
  auto file = OpenLogitsFile(Path("l"), kVocab);
  ASSERT_TRUE(file);
  std::vector<float> rows(3 * kVocab);
  EXPECT_NE((*file)->Rows(prompts_[0], 0, 3, rows).error().message.find("NaN"), std::string::npos);
}

TEST_F(LogitsFileTest, ATruncatedFileIsRefused) {
  ASSERT_TRUE(WriteLogits(Path("l"), source_, prompts_, kVocab, IgnoreProgress));
  std::filesystem::resize_file(Path("l"), std::filesystem::file_size(Path("l")) - 4);
  EXPECT_FALSE(OpenLogitsFile(Path("l"), kVocab));
}

TEST_F(LogitsFileTest, PromptsComeBack) {
  ASSERT_TRUE(WritePrompts(Path("p"), prompts_));
  const auto read = ReadPrompts(Path("p"), kVocab);
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(read->size(), prompts_.size());
  for (size_t i = 0; i < read->size(); ++i) {
    EXPECT_EQ((*read)[i].id, prompts_[i].id);
    EXPECT_EQ((*read)[i].kind, prompts_[i].kind);
    EXPECT_EQ((*read)[i].language, prompts_[i].language);
    EXPECT_EQ((*read)[i].text, prompts_[i].text);
    EXPECT_EQ((*read)[i].ids, prompts_[i].ids);
  }
  const auto small = ReadPrompts(Path("p"), 6);
  ASSERT_FALSE(small);
  EXPECT_NE(small.error().message.find("prompts[1]: ids: expected token ids from 0 to 5, found 6"),
            std::string::npos)
      << small.error().message;
}

TEST_F(LogitsFileTest, BadPromptsAreNamed) {
  const struct {
    const char *json, *message;
  } cases[] = {
      {"[]", "prompts: expected a list"},
      {R"({"prompts": []})", "prompts: expected a list"},
      {R"({"prompts": [3]})", "prompts[0]: expected an object"},
      {R"({"prompts": [{"ids": [1]}]})", "id: expected a name"},
      {R"({"prompts": [{"id": "a"}]})", "ids: expected a list"},
      {R"({"prompts": [{"id": "a", "ids": [-1]}]})", "found -1"},
      {R"({"prompts": [{"id": "a", "ids": [1]}, {"id": "a", "ids": [1]}]})", "found \"a\" again"}};
  for (const auto& c : cases) {
    ASSERT_TRUE(WriteFile(Path("p"), c.json));
    const auto read = ReadPrompts(Path("p"), kVocab);
    ASSERT_FALSE(read) << c.json;
    EXPECT_NE(read.error().message.find(c.message), std::string::npos) << read.error().message;
  }
}

}  // namespace
}  // namespace merope
