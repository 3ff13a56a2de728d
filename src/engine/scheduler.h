// Which tokens of which sequences the next step computes, and which KV pages they hold. No phases:
// each sequence catches up with its tokens within one budget of tokens a step. Running sequences go
// first, then waiting ones; where pages run out, the last running one (FCFS) or the worst
// (priority, then arrival) gives its pages back and starts over, its tokens kept. vLLM's rules
// (vllm/v1/core/sched/scheduler.py). Owned by the engine, used by its thread; knows nothing of
// models or texts.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "model/kv_cache.h"

namespace merope {

enum class SchedulingPolicy : uint8_t { kFcfs, kPriority };

struct SchedulerOptions {
  int64_t max_num_seqs = 256;    // sequences in one step at most
  int64_t max_batch_tokens = 0;  // tokens of one step at most
  int64_t max_logit_rows = 0;    // tokens that logits are wanted after, in one step at most
  SchedulingPolicy policy = SchedulingPolicy::kFcfs;
  bool prefix_cache = true;
};

// One sequence on its way.
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
      0;  // of the prompt, found in the prefix cache when it was first scheduled
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

  void Add(Work* work);     // goes to the end of the waiting ones (by priority, under kPriority)
  void Remove(Work* work);  // waiting or running: ended or aborted; its pages are given back
  // The next step; empty only when nothing is there. What is scheduled holds the pages it needs.
  // The caller computes all of it (advancing the sequences), then calls Commit for each.
  std::span<const Scheduled> Schedule();
  // After a step: work->tokens has grown by what was sampled, the sequence was cut back to what of
  // it was kept; its full pages may be found by others from now on.
  void Commit(Work* work);

  int64_t running() const, waiting() const, preemptions() const;
};

}  // namespace merope
