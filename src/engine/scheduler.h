// Which tokens of which sequences the next step computes, and which KV pages they hold. No phases:
// each sequence catches up with its tokens within one budget of tokens a step. Running sequences go
// first, then waiting ones, each by priority (kPriority), then arrival; where pages run out, the
// last of the running ones gives its pages back and waits to start over, its tokens kept. Drafts
// take what nobody else has a use for. vLLM's rules (vllm/v1/core/sched/scheduler.py). Owned by the
// engine, used by its thread; knows nothing of models or texts.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "model/kv_cache.h"

namespace merope {

enum class SchedulingPolicy : uint8_t { kFcfs, kPriority };

struct SchedulerOptions {
  int64_t max_num_seqs = 256;    // sequences that run at most
  int64_t max_batch_tokens = 0;  // tokens of one step at most
  int64_t max_logit_rows = 0;    // tokens that logits are wanted after, in one step at most
  SchedulingPolicy policy = SchedulingPolicy::kFcfs;
  bool prefix_cache = true;
};

// One sequence on its way. All its tokens and the draft fit the KV cache while no other sequence is
// there.
struct Work {
  explicit Work(KvCache& kv) : sequence(kv) {}

  int64_t arrival = 0;          // order of Add; set by it
  int64_t priority = 0;         // smaller goes first, under kPriority
  std::vector<int32_t> tokens;  // the prompt, and what was generated
  std::vector<int32_t>
      draft;  // proposed to follow them: computed along with the last of them, all or some
  int64_t prompt_tokens = 0;
  bool all_logits =
      false;  // wanted after every token not computed yet, not only the last (prompt logprobs)
  bool reads_prefix_cache = true;
  std::string cache_salt;
  Sequence sequence;  // its pages; sequence.length() tokens are computed
  int64_t cached_tokens =
      0;                  // of the prompt, found in the prefix cache when it was first scheduled
  bool admitted = false;  // was scheduled once; set by Schedule
  bool waits = false;     // not to be scheduled now: what its next token may be is not known yet
};

// A sequence's part of the next step: tokens (then draft) from work->sequence.length() on.
struct Scheduled {
  Work* work = nullptr;
  int64_t n_tokens = 0;  // of tokens and draft
  int64_t n_draft = 0;   // of them, the last ones, from draft
  int64_t n_logits = 0;  // after the last so many: 1 + n_draft where the tokens are caught up with,
                         // 0 before; all with all_logits
};

class Scheduler {
 public:
  Scheduler(KvCache& kv, const SchedulerOptions& options);

  // Goes to the end of the waiting ones (by priority, under kPriority). Those hold no pages: its
  // sequence is empty.
  void Add(Work* work);
  void Remove(Work* work);  // waiting or running: ended or aborted; its pages are given back
  // The next step; empty only when nothing is there, or all of it waits. What is scheduled holds
  // the pages it needs. The caller computes all of it (advancing the sequences), then calls Commit
  // for each. Takes no memory while pages suffice.
  std::span<const Scheduled> Schedule();
  // After a step: work->tokens has grown by what was sampled, the sequence was cut back to what of
  // it was kept; its full pages may be found by others from now on.
  void Commit(Work* work);

  int64_t max_num_seqs() const { return options_.max_num_seqs; }
  int64_t running() const { return std::ssize(running_); }
  int64_t waiting() const { return std::ssize(waiting_); }
  int64_t preemptions() const { return preemptions_; }

 private:
  bool Before(const Work* a, const Work* b) const;
  void Insert(std::vector<Work*>* works, Work* work) const;
  bool Erase(std::vector<Work*>* works, const Work* work) const;

  bool ScheduleRunning();  // false where it had to preempt
  void ScheduleWaiting();
  void ScheduleDrafts();
  // As many of the work's tokens as the budgets allow, rows for `behind` others left.
  Scheduled Fit(Work* work, int64_t behind) const;
  void Take(const Scheduled& part);

  KvCache& kv_;
  SchedulerOptions options_;
  std::vector<Work*> running_, waiting_;  // in order
  std::vector<Scheduled> scheduled_;      // the step
  int64_t tokens_left_ = 0, rows_left_ = 0;
  int64_t arrivals_ = 0, preemptions_ = 0;
};

}  // namespace merope
