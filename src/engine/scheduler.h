// Decides which tokens of which sequences the next step computes, and which KV pages the sequences
// hold. There is no separate prefill phase: each step computes as many of a sequence's remaining
// tokens as the step's budget of tokens allows. Running sequences go first, then waiting sequences.
// Both groups are ordered by priority (under kPriority), then by arrival. If no page is left, the
// last running sequence returns its pages and waits to start over; the sequence keeps its tokens.
// Drafts get only the tokens, rows of logits and pages that the step does not need for other
// tokens. The rules are vLLM's (vllm/v1/core/sched/scheduler.py). The engine owns the scheduler and
// uses it on the engine's thread. The scheduler knows nothing about models or texts.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "model/kv_cache.h"

namespace merope {

enum class SchedulingPolicy : uint8_t { kFcfs, kPriority };

struct SchedulerOptions {
  int64_t max_num_seqs = 256;    // maximum number of running sequences
  int64_t max_batch_tokens = 0;  // maximum number of tokens of one step
  int64_t max_logit_rows = 0;    // maximum number of rows of logits of one step
  SchedulingPolicy policy = SchedulingPolicy::kFcfs;
  bool prefix_cache = true;
};

// One sequence in the scheduler. All its tokens and its draft must fit into the KV cache while no
// other sequence is there.
struct Work {
  explicit Work(KvCache& kv) : sequence(kv) {}

  int64_t arrival = 0;          // the order of Add; Add sets it
  int64_t priority = 0;         // a smaller value goes first, under kPriority
  std::vector<int32_t> tokens;  // the prompt, and the generated tokens
  // Tokens proposed to follow `tokens`. A step that computes the last of `tokens` also computes as
  // much of the draft as there is room for.
  std::vector<int32_t> draft;
  int64_t prompt_tokens = 0;
  // Logits are wanted after every token that is not computed yet, not only after the last token
  // (prompt logprobs).
  bool all_logits = false;
  bool reads_prefix_cache = true;
  std::string cache_salt;
  Sequence sequence;  // its pages; the first sequence.length() tokens are computed
  // The number of prompt tokens that were found in the prefix cache when the sequence was first
  // scheduled.
  int64_t cached_tokens = 0;
  bool admitted = false;  // was scheduled at least once; Schedule sets it
  bool waits = false;     // not scheduled now, because the mask of the next token is not ready
};

// One sequence's part of the next step: the tokens, then the draft, from position
// work->sequence.length() on.
struct Scheduled {
  Work* work = nullptr;
  int64_t n_tokens = 0;  // number of tokens, including draft tokens
  int64_t n_draft = 0;   // number of draft tokens; these are the last of the n_tokens
  // Logits are wanted after the last n_logits tokens: 1 + n_draft if the step computes the last of
  // work->tokens, otherwise 0. With all_logits: all.
  int64_t n_logits = 0;
};

class Scheduler {
 public:
  Scheduler(KvCache& kv, const SchedulerOptions& options);

  // Puts the work behind all waiting work. Under kPriority, the order of priority comes first.
  // Waiting sequences hold no pages, so the sequence must be empty.
  void Add(Work* work);
  // Removes a waiting or running work that has ended or was aborted. Returns its pages to the KV
  // cache.
  void Remove(Work* work);
  // Returns the next step. The step is empty only if there is no work, or if all works wait. Each
  // scheduled sequence holds the pages that it needs. The caller computes all parts (which advances
  // the sequences), then calls Commit for each part. Schedule allocates no heap memory while pages
  // suffice.
  std::span<const Scheduled> Schedule();
  // Called after a step, when work->tokens has the sampled tokens and the sequence is truncated to
  // the tokens that stay. From then on, other sequences can find its full pages.
  void Commit(Work* work);

  int64_t max_num_seqs() const { return options_.max_num_seqs; }
  int64_t running() const { return std::ssize(running_); }
  int64_t waiting() const { return std::ssize(waiting_); }
  int64_t preemptions() const { return preemptions_; }

 private:
  bool Before(const Work* a, const Work* b) const;
  void Insert(std::vector<Work*>* works, Work* work) const;
  bool Erase(std::vector<Work*>* works, const Work* work) const;

  bool ScheduleRunning();  // false: it had to preempt
  void ScheduleWaiting();
  void ScheduleDrafts();
  // As many of the work's tokens as the budgets allow. Leaves rows of logits for `behind` other
  // works.
  Scheduled Fit(Work* work, int64_t behind) const;
  void Charge(const Scheduled& part);

  KvCache& kv_;
  SchedulerOptions options_;
  std::vector<Work*> running_, waiting_;  // in order
  std::vector<Scheduled> scheduled_;      // the step
  int64_t tokens_left_ = 0, rows_left_ = 0;
  int64_t arrivals_ = 0, preemptions_ = 0;
};

}  // namespace merope
