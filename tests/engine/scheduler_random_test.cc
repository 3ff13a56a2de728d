// Runs 10,000 random steps of the scheduler beside a naive model of its rules (scheduler_model.h),
// over small pools of pages. The scheduled parts, the preempted sequences and the shared pages must
// be those of the model. Every page must hold the tokens that its readers expect. Every request
// must end in bounded time.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>

#include "engine/scheduler.h"
#include "tests/engine/scheduler_model.h"
#include "tests/support/token_pages.h"

namespace merope {

namespace model {
std::ostream& operator<<(std::ostream& out, const Part& p) {
  return out << "{" << p.id << ", " << p.n_tokens << ", " << p.n_draft << ", " << p.n_logits << "}";
}
}  // namespace model

namespace {

using Tokens = std::vector<int32_t>;

// The token that follows these tokens in plain decoding.
int32_t Next(const Tokens& tokens) {
  const size_t n = tokens.size();
  return static_cast<int32_t>(
      (static_cast<size_t>(tokens[n - 1]) * 7 + static_cast<size_t>(tokens[n / 2]) * 3 + n) % 50);
}

// Counts the events of a run, so that the test can check that each kind of event occurred.
struct Seen {
  int64_t steps = 0, ended = 0, aborted = 0, preemptions = 0;
  int64_t cached_tokens = 0, within_page = 0, drafted = 0, accepted = 0, draft_cut = 0;
  int64_t shared_pages = 0, resets = 0, refused_resets = 0;
};

// One request that is both in the scheduler and in the model.
struct Request {
  std::unique_ptr<Work> work;
  Tokens expected;            // all its tokens when it has ended
  int64_t oldest_since = -1;  // the step since which it is the oldest
  int64_t length = 0;         // of its sequence, at the last check
};

class Trial {
 public:
  Trial(uint64_t seed, Seen* seen) : random_(seed), seen_(*seen) {
    limits_.pages = Random(0, 2) == 0 ? Random(2, 4) : Random(5, 16);
    limits_.max_num_seqs = Random(1, 8);
    limits_.tokens = Pick({1, 7, 64, 100, 200, 500});
    limits_.rows = Pick({1, 4, 20, 200});
    limits_.by_priority = Random(0, 1) == 1;
    limits_.prefix_cache = Random(0, 4) > 0;
    kv_ = std::make_unique<KvCache>(backend_, std::make_unique<TokenPages>(limits_.pages),
                                    limits_.pages * kPageTokens);
    scheduler_ = std::make_unique<Scheduler>(
        *kv_, SchedulerOptions{.max_num_seqs = limits_.max_num_seqs,
                               .max_batch_tokens = limits_.tokens,
                               .max_logit_rows = limits_.rows,
                               .policy = limits_.by_priority ? SchedulingPolicy::kPriority
                                                             : SchedulingPolicy::kFcfs,
                               .prefix_cache = limits_.prefix_cache});
    model_ = std::make_unique<model::Scheduler>(limits_);
    // Prompts begin with a part of a document. A document may share leading pages with the document
    // before it.
    for (size_t i = 0; i < 4; ++i) {
      Tokens& document = documents_.emplace_back(RandomTokens(320));
      if (i > 0) std::copy_n(documents_[i - 1].begin(), 64 * Random(0, 3), document.begin());
    }
  }
  ~Trial() { requests_.clear(); }

  void Steps(int64_t n) {
    for (int64_t i = 0; i < n && !testing::Test::HasFailure(); ++i) {
      while (requests_.size() < 12 && Random(0, 3) == 0) Submit();
      if (!requests_.empty() && Random(0, 59) == 0) Abort();
      if (Random(0, 49) == 0) Reset();
      Step();
    }
  }

  // The first running request makes progress in every step and keeps its pages. Under FCFS, the
  // first running request is the oldest request. With priorities, and while no new request comes,
  // the best unfinished request is either the first running request or the next request to be
  // admitted. It is admitted at the latest when all running requests have ended.
  void Drain() {
    int64_t bound = 1;
    for (const auto& [id, request] : requests_) bound += std::ssize(request.expected);
    if (limits_.by_priority)
      bound = std::ssize(requests_) * (limits_.max_num_seqs + 1) * limits_.pages * kPageTokens;
    while (!requests_.empty() && !testing::Test::HasFailure()) {
      ASSERT_GT(bound--, 0) << requests_.size() << " requests did not end";
      Step();
    }
    EXPECT_EQ(kv_->used_pages(), 0);
    EXPECT_TRUE(scheduler_->Schedule().empty());
    EXPECT_TRUE(kv_->ResetPrefixes());
    seen_.preemptions += scheduler_->preemptions();
  }

 private:
  int64_t Random(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random_);
  }
  int64_t Pick(std::initializer_list<int64_t> values) {
    return values.begin()[Random(0, std::ssize(values) - 1)];
  }
  Tokens RandomTokens(int64_t n) {
    Tokens tokens(static_cast<size_t>(n));
    for (int32_t& token : tokens) token = static_cast<int32_t>(Random(0, 49));
    return tokens;
  }

  void Submit() {
    const int64_t most = limits_.pages * kPageTokens;
    const Tokens& document = documents_[static_cast<size_t>(Random(0, 3))];
    int64_t n = Random(0, 1) == 0 ? 64 * Random(0, 5) : Random(0, 320);
    n = std::min(n, most - 1);
    Tokens prompt(document.begin(), document.begin() + n);
    if (prompt.empty() || Random(0, 2) == 0)
      for (const int32_t token : RandomTokens(Random(1, std::min<int64_t>(60, most - n))))
        prompt.push_back(token);
    if (std::ssize(prompt) == most) prompt.pop_back();
    Request request;
    request.work = std::make_unique<Work>(*kv_);
    request.expected = prompt;
    const int64_t outputs = std::min(Random(1, 100), most - std::ssize(prompt));
    for (int64_t i = 0; i < outputs; ++i) request.expected.push_back(Next(request.expected));

    Work& work = *request.work;
    work.tokens = prompt;
    work.prompt_tokens = std::ssize(prompt);
    work.priority = Random(0, 2);
    work.all_logits = Random(0, 9) == 0;
    work.reads_prefix_cache = Random(0, 9) > 0;
    work.cache_salt = Random(0, 4) == 0 ? "salt" : "";
    const int id = next_id_++;
    model_->Add({.id = id,
                 .priority = work.priority,
                 .tokens = prompt,
                 .draft = {},
                 .all_logits = work.all_logits,
                 .reads = work.reads_prefix_cache,
                 .salt = work.cache_salt});
    scheduler_->Add(&work);
    Draft(id, work, request.expected);
    requests_.emplace(id, std::move(request));
  }

  // Drafts some of the next tokens. Each draft token may be wrong.
  void Draft(int id, Work& work, const Tokens& expected) {
    work.draft.clear();
    const int64_t room = std::ssize(expected) - std::ssize(work.tokens) - 1;
    const int64_t n = std::min(Random(-3, 8), room);
    for (int64_t i = 0; i < n; ++i)
      work.draft.push_back(
          Random(0, 5) == 0 ? 51 : expected[work.tokens.size() + static_cast<size_t>(i)]);
    model_->tasks[id].draft = work.draft;
  }

  void Abort() {
    const auto at = std::next(requests_.begin(), Random(0, std::ssize(requests_) - 1));
    scheduler_->Remove(at->second.work.get());
    model_->Remove(at->first);
    requests_.erase(at);
    ++seen_.aborted;
  }

  void Reset() {
    const bool reset = kv_->ResetPrefixes();
    EXPECT_EQ(reset, model_->pages.Reset());
    ++(reset ? seen_.resets : seen_.refused_resets);
  }

  void Step() {
    ++seen_.steps;
    ++step_;
    std::map<const Work*, int> ids;
    for (const auto& [id, request] : requests_) ids[request.work.get()] = id;
    const auto runs = model_->InOrder(model_->running), waits = model_->InOrder(model_->waiting);
    const std::span<const Scheduled> scheduled = scheduler_->Schedule();
    std::vector<model::Part> parts;
    for (const Scheduled& s : scheduled)
      parts.push_back({ids.at(s.work), s.n_tokens, s.n_draft, s.n_logits});
    ASSERT_EQ(parts, model_->Schedule()) << "step " << step_;
    Check("scheduled");
    ASSERT_EQ(parts.empty(), requests_.empty());
    if (parts.empty()) return;
    ASSERT_EQ(parts[0].id, runs.empty() ? waits.front() : runs.front());
    if (!limits_.by_priority) ExpectOldestFirst(parts[0].id);
    for (size_t i = 0; i < parts.size() && !testing::Test::HasFailure(); ++i)
      Compute(parts[i], requests_.at(parts[i].id));
    Check("computed");
    EndWhatIsDone();
  }

  // Under FCFS, the oldest request is scheduled in every step and never loses its pages. So it ends
  // within as many steps as it has tokens.
  void ExpectOldestFirst(int first) {
    auto& [id, oldest] = *requests_.begin();
    ASSERT_EQ(first, id);
    if (oldest.oldest_since < 0) oldest.oldest_since = step_;
    ASSERT_LT(step_ - oldest.oldest_since, std::ssize(oldest.expected)) << "request " << id;
    ASSERT_GE(oldest.work->sequence.length(), oldest.length) << "request " << id;
    oldest.length = oldest.work->sequence.length();
  }

  void Compute(const model::Part& part, Request& request) {
    Work& work = *request.work;
    if (model_->tasks[part.id].cached != work.cached_tokens) ADD_FAILURE() << "cached tokens";
    Tokens tokens = work.tokens;
    tokens.insert(tokens.end(), work.draft.begin(), work.draft.end());
    const int64_t before = work.sequence.length(), end = before + part.n_tokens;
    ASSERT_LE(end, std::ssize(tokens));
    KvCacheInside::Write(
        *kv_, &work.sequence,
        std::span(tokens).subspan(static_cast<size_t>(before), static_cast<size_t>(part.n_tokens)));
    Tokens added;
    if (end >= std::ssize(work.tokens)) {
      // A token is sampled. More tokens are added if the draft is right.
      work.all_logits = false;
      for (int64_t i = 0; i <= part.n_draft; ++i) {
        Tokens so_far = work.tokens;
        so_far.insert(so_far.end(), added.begin(), added.end());
        added.push_back(Next(so_far));
        if (i == part.n_draft || work.draft[static_cast<size_t>(i)] != added.back()) break;
      }
      seen_.drafted += part.n_draft;
      seen_.accepted += std::ssize(added) - 1;
      seen_.draft_cut += part.n_draft < std::ssize(work.draft) ? 1 : 0;
      work.sequence.Truncate(std::ssize(work.tokens) + std::ssize(added) - 1);
      work.tokens.insert(work.tokens.end(), added.begin(), added.end());
    }
    model_->tasks[part.id].all_logits = work.all_logits;
    model_->Commit(part.id, work.sequence.length(), added);
    scheduler_->Commit(&work);
    if (!added.empty()) Draft(part.id, work, request.expected);
  }

  void EndWhatIsDone() {
    for (auto at = requests_.begin(); at != requests_.end();) {
      Request& request = at->second;
      if (request.work->tokens.size() < request.expected.size()) {
        ++at;
        continue;
      }
      EXPECT_EQ(request.work->tokens, request.expected);
      seen_.cached_tokens += request.work->cached_tokens;
      seen_.within_page += request.work->cached_tokens % kPageTokens != 0 ? 1 : 0;
      ++seen_.ended;
      scheduler_->Remove(request.work.get());
      model_->Remove(at->first);
      at = requests_.erase(at);
    }
  }

  // Pages are shared where the model shares them, and nowhere else. Each page holds the expected
  // tokens.
  void Check(const char* when) {
    std::vector<const Sequence*> sequences;
    std::map<int32_t, int> model_page;
    std::map<int, int32_t> real_page;
    for (const auto& [id, request] : requests_) {
      const Sequence& sequence = request.work->sequence;
      const model::Task& task = model_->tasks[id];
      sequences.push_back(&sequence);
      ASSERT_EQ(sequence.length(), task.length) << "request " << id << ", " << when;
      ASSERT_EQ(sequence.pages().size(), task.pages.size()) << "request " << id << ", " << when;
      for (size_t i = 0; i < task.pages.size(); ++i) {
        const auto [a, a_is_new] = model_page.try_emplace(sequence.pages()[i], task.pages[i]);
        const auto [b, b_is_new] = real_page.try_emplace(task.pages[i], sequence.pages()[i]);
        ASSERT_EQ(a->second, task.pages[i]) << "request " << id << ", " << when;
        ASSERT_EQ(b->second, sequence.pages()[i]) << "request " << id << ", " << when;
        seen_.shared_pages += a_is_new ? 0 : 1;
      }
      const Tokens computed(request.work->tokens.begin(),
                            request.work->tokens.begin() + sequence.length());
      ASSERT_EQ(KvCacheInside::Read(*kv_, sequence), computed) << "request " << id << ", " << when;
    }
    ASSERT_EQ(KvCacheInside::Fault(*kv_, sequences), "") << when;
    ASSERT_EQ(kv_->free_pages(), model_->pages.n_free()) << when;
    ASSERT_EQ(scheduler_->running(), std::ssize(model_->running)) << when;
    ASSERT_EQ(scheduler_->waiting(), std::ssize(model_->waiting)) << when;
    ASSERT_EQ(scheduler_->preemptions(), model_->preemptions) << when;
  }

  std::mt19937_64 random_;
  Seen& seen_;
  model::Limits limits_;
  TokenBackend backend_;
  std::unique_ptr<KvCache> kv_;
  std::unique_ptr<Scheduler> scheduler_;
  std::unique_ptr<model::Scheduler> model_;
  std::vector<Tokens> documents_;
  std::map<int, Request> requests_;
  int next_id_ = 0;
  int64_t step_ = 0;
};

TEST(SchedulerRandomTest, TenThousandStepsAreWhatTheModelSays) {
  Seen seen;
  for (uint64_t seed = 1; seed <= 50 && !HasFailure(); ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Trial trial(seed, &seen);
    trial.Steps(400);
    trial.Drain();
  }
  fmt::print(
      "{} steps: {} requests ended, {} aborted, {} preemptions; {} tokens found in the prefix "
      "cache, {} times to within a page, {} shared pages seen; {} of {} drafted tokens accepted, "
      "{} drafts cut; {} resets, {} refused\n",
      seen.steps, seen.ended, seen.aborted, seen.preemptions, seen.cached_tokens, seen.within_page,
      seen.shared_pages, seen.accepted, seen.drafted, seen.draft_cut, seen.resets,
      seen.refused_resets);
  // Every kind of event occurs often.
  EXPECT_GE(seen.steps, 10'000);
  for (const int64_t times : {seen.ended, seen.aborted, seen.preemptions, seen.within_page,
                              seen.accepted, seen.draft_cut, seen.resets, seen.refused_resets})
    EXPECT_GE(times, 50);
  EXPECT_GE(seen.cached_tokens, 10'000);
  EXPECT_GE(seen.shared_pages, 1'000);
}

}  // namespace
}  // namespace merope
