#include "engine/scheduler.h"

#include <gtest/gtest.h>

#include <deque>
#include <numeric>

#include "tests/support/allocations.h"
#include "tests/support/says.h"
#include "tests/support/token_pages.h"

namespace merope {
namespace {

// A Scheduled as the tests write it: the index of the work, the number of its tokens (including
// draft tokens), of its draft tokens, and of its rows of logits.
struct Part {
  size_t work = 0;
  int64_t n_tokens = 0, n_draft = 0, n_logits = 0;
  bool operator==(const Part&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Part& p) {
  return out << "{" << p.work << ", " << p.n_tokens << ", " << p.n_draft << ", " << p.n_logits
             << "}";
}
using Parts = std::vector<Part>;

class SchedulerTest : public testing::Test {
 protected:
  void Start(int64_t n_pages, const SchedulerOptions& options) {
    scheduler_.reset();
    works_.clear();
    kv_ = std::make_unique<KvCache>(backend_, std::make_unique<TokenPages>(n_pages),
                                    n_pages * kPageTokens);
    scheduler_ = std::make_unique<Scheduler>(*kv_, options);
  }

  Work& Add(std::vector<int32_t> prompt, int64_t priority = 0) {
    Work& work = Make(std::move(prompt), priority);
    scheduler_->Add(&work);
    return work;
  }
  // A prompt that shares no prefix with the other prompts.
  Work& Add(int64_t n, int64_t priority = 0) {
    return Add(Prompt(n, static_cast<int32_t>(1000 * (works_.size() + 1))), priority);
  }
  Work& Make(std::vector<int32_t> prompt, int64_t priority = 0) {
    Work& work = works_.emplace_back(*kv_);
    work.prompt_tokens = std::ssize(prompt);
    work.tokens = std::move(prompt);
    work.priority = priority;
    return work;
  }
  static std::vector<int32_t> Prompt(int64_t n, int32_t first) {
    std::vector<int32_t> tokens(static_cast<size_t>(n));
    std::iota(tokens.begin(), tokens.end(), first);
    return tokens;
  }

  // Runs a step. Of each draft, the first `accepted` tokens are kept.
  Parts Step(int64_t accepted = 0) {
    Parts parts;
    for (const Scheduled& s : scheduler_->Schedule()) {
      parts.push_back({Index(s.work), s.n_tokens, s.n_draft, s.n_logits});
      std::vector<int32_t> tokens = s.work->tokens;
      tokens.insert(tokens.end(), s.work->draft.begin(), s.work->draft.end());
      KvCacheInside::Write(*kv_, &s.work->sequence,
                           std::span(tokens).subspan(static_cast<size_t>(s.work->sequence.length()),
                                                     static_cast<size_t>(s.n_tokens)));
      if (s.work->sequence.length() >= std::ssize(s.work->tokens)) {
        const int64_t kept = std::min(accepted, s.n_draft);
        s.work->sequence.Truncate(s.work->sequence.length() - s.n_draft + kept);
        s.work->tokens.insert(s.work->tokens.end(), s.work->draft.begin(),
                              s.work->draft.begin() + kept);
        s.work->tokens.push_back(7);
      }
      scheduler_->Commit(s.work);
    }
    return parts;
  }
  size_t Index(const Work* work) const {
    size_t i = 0;
    while (&works_[i] != work) ++i;
    return i;
  }

  TokenBackend backend_;
  std::unique_ptr<KvCache> kv_;
  std::deque<Work> works_;  // destroyed before kv_, because they return their pages to it
  std::unique_ptr<Scheduler> scheduler_;
};

TEST_F(SchedulerTest, PromptsComeInChunksBesideDecoding) {
  Start(20, {.max_num_seqs = 8, .max_batch_tokens = 10, .max_logit_rows = 8});
  EXPECT_EQ(Step(), Parts());
  Add(4);
  Add(20);
  Add(3);
  EXPECT_EQ(Step(), (Parts{{0, 4, 0, 1}, {1, 6, 0, 0}}));
  EXPECT_EQ(scheduler_->running(), 2);
  EXPECT_EQ(scheduler_->waiting(), 1);
  EXPECT_EQ(Step(), (Parts{{0, 1, 0, 1}, {1, 9, 0, 0}}));
  EXPECT_EQ(Step(), (Parts{{0, 1, 0, 1}, {1, 5, 0, 1}, {2, 3, 0, 1}}));
  EXPECT_EQ(Step(), (Parts{{0, 1, 0, 1}, {1, 1, 0, 1}, {2, 1, 0, 1}}));
}

TEST_F(SchedulerTest, NoMoreRunThanMay) {
  Start(20, {.max_num_seqs = 2, .max_batch_tokens = 100, .max_logit_rows = 8});
  for (int i = 0; i < 4; ++i) Add(5);
  EXPECT_EQ(Step(), (Parts{{0, 5, 0, 1}, {1, 5, 0, 1}}));
  scheduler_->Remove(&works_[0]);
  EXPECT_EQ(Step(), (Parts{{1, 1, 0, 1}, {2, 5, 0, 1}}));
  scheduler_->Remove(&works_[3]);  // this work waits
  scheduler_->Remove(&works_[1]);
  EXPECT_EQ(Step(), (Parts{{2, 1, 0, 1}}));
  scheduler_->Remove(&works_[2]);
  EXPECT_EQ(Step(), Parts());
  EXPECT_EQ(kv_->used_pages(), 0);
}

TEST_F(SchedulerTest, WithoutARowForItsLastTokenASequenceWaitsForIt) {
  Start(20, {.max_num_seqs = 8, .max_batch_tokens = 100, .max_logit_rows = 2});
  Add(5);
  Add(5);
  Add(5);
  Add(1);
  EXPECT_EQ(Step(), (Parts{{0, 5, 0, 1}, {1, 5, 0, 1}, {2, 4, 0, 0}}));
  EXPECT_EQ(Step(), (Parts{{0, 1, 0, 1}, {1, 1, 0, 1}}));
  scheduler_->Remove(&works_[0]);
  EXPECT_EQ(Step(), (Parts{{1, 1, 0, 1}, {2, 1, 0, 1}}));
}

// A sequence that wants logits after every token leaves one row to each running sequence behind it.
TEST_F(SchedulerTest, LogitsAfterEveryTokenTakeTheRowsThatOthersLeave) {
  Start(20, {.max_num_seqs = 8, .max_batch_tokens = 100, .max_logit_rows = 8});
  Add(2);
  Work& all = Add(30);
  all.all_logits = true;
  Add(2);
  EXPECT_EQ(Step(), (Parts{{0, 2, 0, 1}, {1, 7, 0, 7}, {2, 1, 0, 0}}));
  EXPECT_EQ(Step(), (Parts{{0, 1, 0, 1}, {1, 6, 0, 6}, {2, 1, 0, 1}}));
  EXPECT_EQ(Step(), (Parts{{0, 1, 0, 1}, {1, 6, 0, 6}, {2, 1, 0, 1}}));
  all.all_logits = false;
  EXPECT_EQ(Step(), (Parts{{0, 1, 0, 1}, {1, 11, 0, 1}, {2, 1, 0, 1}}));
}

// Three sequences hold one page each, and there are three pages. The first sequence that needs a
// second page takes the page of the last sequence. A preempted sequence finds its full page again
// in the prefix cache, unless another sequence has overwritten the page.
TEST_F(SchedulerTest, TheLastOneGivesItsPagesBack) {
  Start(3, {.max_num_seqs = 8, .max_batch_tokens = 300, .max_logit_rows = 8});
  Add(64);
  Add(62);
  Add(62);
  EXPECT_EQ(Step(), (Parts{{0, 64, 0, 1}, {1, 62, 0, 1}, {2, 62, 0, 1}}));
  Add(1);
  EXPECT_EQ(Step(), (Parts{{0, 1, 0, 1}, {1, 1, 0, 1}}));  // and no waiting work is admitted
  EXPECT_EQ(scheduler_->preemptions(), 1);
  EXPECT_EQ(scheduler_->running(), 2);
  EXPECT_EQ(scheduler_->waiting(), 2);
  EXPECT_EQ(works_[2].sequence.length(), 0);
  EXPECT_EQ(works_[2].tokens.size(), 63u);
  EXPECT_EQ(Step(), (Parts{{0, 1, 0, 1}, {1, 1, 0, 1}}));  // no page for the third or the fourth
  EXPECT_EQ(Step(), (Parts{{0, 1, 0, 1}}));                // the second needs a page and is last
  EXPECT_EQ(scheduler_->preemptions(), 2);
  EXPECT_EQ(Step(), (Parts{{0, 1, 0, 1}}));  // the second finds its full page only
  scheduler_->Remove(&works_[0]);
  EXPECT_EQ(Step(), (Parts{{1, 1, 0, 1}, {2, 63, 0, 1}}));  // 64 tokens of the second were found
  EXPECT_EQ(works_[1].cached_tokens, 0);  // of the prompt, when it was first scheduled
  scheduler_->Remove(&works_[1]);
  EXPECT_EQ(Step(), (Parts{{2, 1, 0, 1}, {3, 1, 0, 1}}));
}

TEST_F(SchedulerTest, PriorityOrdersWhoWaitsAndWhoGivesItsPagesBack) {
  Start(3, {.max_num_seqs = 3,
            .max_batch_tokens = 300,
            .max_logit_rows = 8,
            .policy = SchedulingPolicy::kPriority});
  Add(64, 2);
  EXPECT_EQ(Step(), (Parts{{0, 64, 0, 1}}));
  Add(60, 1);
  Add(60, 0);
  Add(60, 0);
  // The first keeps running and gets its second page, while sequences of better priority wait.
  EXPECT_EQ(Step(), (Parts{{0, 1, 0, 1}, {2, 60, 0, 1}}));
  scheduler_->Remove(&works_[3]);
  EXPECT_EQ(kv_->free_pages(), 0);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(Step(), (Parts{{2, 1, 0, 1}, {0, 1, 0, 1}})) << i;
  // The third needs another page. The first has the worst priority, so it returns its two pages.
  // The second is the next to be admitted.
  EXPECT_EQ(Step(), (Parts{{2, 1, 0, 1}}));
  EXPECT_EQ(Step(), (Parts{{2, 1, 0, 1}, {1, 60, 0, 1}}));
}

TEST_F(SchedulerTest, UnderFcfsPriorityIsNothing) {
  Start(3, {.max_num_seqs = 1, .max_batch_tokens = 300, .max_logit_rows = 8});
  Add(5, 2);
  Add(5, 1);
  EXPECT_EQ(Step(), (Parts{{0, 5, 0, 1}}));
}

TEST_F(SchedulerTest, DraftsTakeWhatOthersLeave) {
  Start(20, {.max_num_seqs = 8, .max_batch_tokens = 10, .max_logit_rows = 6});
  Work& first = Add(4);
  Add(4);
  first.draft = {1, 2, 3};
  EXPECT_EQ(Step(2), (Parts{{0, 6, 2, 3}, {1, 4, 0, 1}}));  // cut by the budget of tokens
  EXPECT_EQ(first.tokens.size(), 4u + 2 + 1);
  EXPECT_EQ(first.sequence.length(), 6);
  first.draft = {1, 2, 3, 4, 5};
  EXPECT_EQ(Step(0), (Parts{{0, 5, 4, 5}, {1, 1, 0, 1}}));  // cut by the budget of rows
  EXPECT_EQ(first.sequence.length(), 7);
  Add(9);
  EXPECT_EQ(Step(0), (Parts{{0, 1, 0, 1}, {1, 1, 0, 1}, {2, 8, 0, 0}}));
  EXPECT_EQ(Step(0), (Parts{{0, 4, 3, 4}, {1, 1, 0, 1}, {2, 1, 0, 1}}));
}

TEST_F(SchedulerTest, DraftsAreCutWherePagesEndAndTakeNobodys) {
  Start(2, {.max_num_seqs = 8, .max_batch_tokens = 100, .max_logit_rows = 20});
  Work& first = Add(61);
  first.draft = {1, 2, 3, 4, 5};
  EXPECT_EQ(Step(5), (Parts{{0, 66, 5, 6}}));  // the second page is free
  EXPECT_EQ(first.sequence.length(), 66);
  scheduler_->Remove(&first);
  Work& next = Add(61);
  next.draft = {1, 2, 3, 4, 5};
  Add(10);
  EXPECT_EQ(Step(0), (Parts{{1, 64, 3, 4}, {2, 10, 0, 1}}));
  EXPECT_EQ(scheduler_->preemptions(), 0);
  EXPECT_EQ(next.sequence.length(), 61);
}

TEST_F(SchedulerTest, ACachedPrefixIsNotComputedAgain) {
  Start(20, {.max_num_seqs = 8, .max_batch_tokens = 300, .max_logit_rows = 200});
  Add(Prompt(128, 0));
  EXPECT_EQ(Step(), (Parts{{0, 128, 0, 1}}));
  scheduler_->Remove(&works_[0]);
  Work& all_but_one = Add(Prompt(128, 0));
  Work& longer = Add(Prompt(140, 0));
  Work& salted = Make(Prompt(140, 0));
  salted.cache_salt = "salt";
  Work& not_reading = Make(Prompt(70, 0));
  not_reading.reads_prefix_cache = false;
  Work& logits = Make(Prompt(5, 0));
  logits.all_logits = true;
  for (Work* work : {&salted, &not_reading, &logits}) scheduler_->Add(work);
  EXPECT_EQ(Step(),
            (Parts{{1, 1, 0, 1}, {2, 12, 0, 1}, {3, 140, 0, 1}, {4, 70, 0, 1}, {5, 5, 0, 5}}));
  EXPECT_EQ(all_but_one.cached_tokens, 127);
  EXPECT_EQ(longer.cached_tokens, 128);
  EXPECT_EQ(salted.cached_tokens, 0);
  EXPECT_EQ(not_reading.cached_tokens, 0);
  EXPECT_EQ(logits.cached_tokens, 0);
  EXPECT_EQ(all_but_one.sequence.pages()[0], longer.sequence.pages()[0]);
  EXPECT_NE(salted.sequence.pages()[0], longer.sequence.pages()[0]);
}

TEST_F(SchedulerTest, WithoutAPrefixCacheNothingIsFound) {
  Start(20,
        {.max_num_seqs = 8, .max_batch_tokens = 300, .max_logit_rows = 8, .prefix_cache = false});
  Add(Prompt(128, 0));
  EXPECT_EQ(Step(), (Parts{{0, 128, 0, 1}}));
  Add(Prompt(128, 0));
  EXPECT_EQ(Step(), (Parts{{0, 1, 0, 1}, {1, 128, 0, 1}}));
}

TEST_F(SchedulerTest, ASequenceThatFitsAloneEnds) {
  Start(3, {.max_num_seqs = 8, .max_batch_tokens = 64, .max_logit_rows = 8});
  Add(100);
  Add(100);
  Add(100);
  const auto whole = [](const Work& work) { return std::ssize(work.tokens) == 193; };
  int steps = 0;
  for (size_t i = 0; i < 3; ++i) {
    for (; !whole(works_[i]); ++steps) {
      ASSERT_LT(steps, 1000);
      const Parts parts = Step();
      ASSERT_FALSE(parts.empty());
      ASSERT_EQ(parts[0].work, i);  // the first sequence never waits
    }
    scheduler_->Remove(&works_[i]);
  }
  EXPECT_GT(scheduler_->preemptions(), 0);
}

TEST_F(SchedulerTest, WhatWaitsIsPassedOver) {
  Start(64, {.max_num_seqs = 2, .max_batch_tokens = 200, .max_logit_rows = 8});
  Work& first = Add(20);
  Add(30);
  Add(40);
  EXPECT_EQ(Step(), (Parts{{0, 20, 0, 1}, {1, 30, 0, 1}}));
  first.waits = true;
  EXPECT_EQ(Step(), (Parts{{1, 1, 0, 1}}));
  works_[1].waits = true;
  EXPECT_EQ(Step(), Parts{});  // no sequence ends, so the third has no place
  first.waits = false;
  EXPECT_EQ(Step(), (Parts{{0, 1, 0, 1}}));
  scheduler_->Remove(&first);
  EXPECT_EQ(Step(), (Parts{{2, 40, 0, 1}}));
}

TEST_F(SchedulerTest, OneThatWaitsIsPreemptedAndNotBegunAgain) {
  Start(2, {.max_num_seqs = 3, .max_batch_tokens = 200, .max_logit_rows = 8});
  Add(60);
  Work& second = Add(60);
  Add(30);
  EXPECT_EQ(Step(), (Parts{{0, 60, 0, 1}, {1, 60, 0, 1}}));
  second.waits = true;
  for (int i = 0; i < 4; ++i) EXPECT_EQ(Step(), (Parts{{0, 1, 0, 1}}));
  // The first needs the page of the second. Neither the second nor the third starts in this step.
  EXPECT_EQ(Step(), (Parts{{0, 1, 0, 1}}));
  EXPECT_EQ(scheduler_->preemptions(), 1);
  EXPECT_EQ(scheduler_->waiting(), 2);
  scheduler_->Remove(&works_[0]);
  EXPECT_EQ(Step(), (Parts{{2, 30, 0, 1}}));  // the third passes the second
  second.waits = false;
  EXPECT_EQ(Step().size(), 2u);
}

using SchedulerDeathTest = SchedulerTest;
TEST_F(SchedulerDeathTest, OneThatDoesNotIsABrokenPromise) {
  Start(2, {.max_num_seqs = 8, .max_batch_tokens = 200, .max_logit_rows = 8});
  Add(129);
  GTEST_FLAG_SET(death_test_style, "threadsafe");  // runs the statement in a new process
  EXPECT_DEATH(scheduler_->Schedule(), Says{"does not fit the KV cache alone"});
}

#ifdef MEROPE_COUNTS_ALLOCATIONS
TEST_F(SchedulerTest, AWarmStepTakesNoMemory) {
  Start(64, {.max_num_seqs = 8, .max_batch_tokens = 300, .max_logit_rows = 64});
  for (int i = 0; i < 12; ++i) Add(20).tokens.reserve(1000);
  Step();
  for (Work& work : works_) work.draft = {1, 2, 3};
  int64_t tokens = 0;
  EXPECT_EQ(AllocationsOf([&] {
              for (int step = 0; step < 200; ++step)  // over several pages
                for (const Scheduled& s : scheduler_->Schedule()) {
                  tokens += s.n_tokens;
                  const std::span<const int32_t> last(s.work->tokens);
                  KvCacheInside::Write(*kv_, &s.work->sequence, last.last(1));
                  s.work->tokens.push_back(7);
                  scheduler_->Commit(s.work);
                }
            }),
            0);
  EXPECT_EQ(tokens, 200 * 8 * 4);
}
#endif

}  // namespace
}  // namespace merope
