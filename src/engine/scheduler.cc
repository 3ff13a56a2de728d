#include "engine/scheduler.h"

#include <algorithm>

namespace merope {

Scheduler::Scheduler(KvCache& kv, const SchedulerOptions& options) : kv_(kv), options_(options) {
  CHECK(options.max_num_seqs > 0 && options.max_batch_tokens > 0 && options.max_logit_rows > 0);
  running_.reserve(static_cast<size_t>(options.max_num_seqs));
  scheduled_.reserve(static_cast<size_t>(options.max_num_seqs));
}

bool Scheduler::Before(const Work* a, const Work* b) const {
  if (options_.policy == SchedulingPolicy::kPriority && a->priority != b->priority)
    return a->priority < b->priority;
  return a->arrival < b->arrival;
}

void Scheduler::Insert(std::vector<Work*>* works, Work* work) const {
  const auto before = [this](const Work* a, const Work* b) { return Before(a, b); };
  works->insert(std::ranges::upper_bound(*works, work, before), work);
}

bool Scheduler::Erase(std::vector<Work*>* works, const Work* work) const {
  const auto before = [this](const Work* a, const Work* b) { return Before(a, b); };
  const auto at = std::ranges::lower_bound(*works, work, before);
  if (at == works->end() || *at != work) return false;
  works->erase(at);
  return true;
}

void Scheduler::Add(Work* work) {
  CHECK(work->sequence.pages().empty() && !work->tokens.empty());
  work->arrival = arrivals_++;
  // Makes room for this sequence and for all sequences that may be preempted. The allocation comes
  // first: if the allocation throws, the scheduler does not hold the work.
  const size_t most = waiting_.size() + 1 + static_cast<size_t>(options_.max_num_seqs);
  if (waiting_.capacity() < most) waiting_.reserve(2 * most);
  Insert(&waiting_, work);
}

void Scheduler::Remove(Work* work) {
  CHECK(Erase(&running_, work) || Erase(&waiting_, work));
  work->sequence.Clear();
}

std::span<const Scheduled> Scheduler::Schedule() {
  scheduled_.clear();
  tokens_left_ = options_.max_batch_tokens;
  rows_left_ = options_.max_logit_rows;
  if (ScheduleRunning()) ScheduleWaiting();
  ScheduleDrafts();
  const auto waits = [](const Work* work) { return work->waits; };
  CHECK(!scheduled_.empty() || (running_.empty() ? std::ranges::all_of(waiting_, waits)
                                                 : std::ranges::any_of(running_, waits)),
        "a sequence that does not fit the KV cache alone");
  return scheduled_;
}

void Scheduler::Commit(Work* work) {
  if (options_.prefix_cache) kv_.Publish(&work->sequence, work->tokens, work->cache_salt);
}

// A sequence that is already scheduled comes before all sequences that may be preempted, so it
// keeps its pages. Therefore the first sequence always makes progress, and every sequence ends.
bool Scheduler::ScheduleRunning() {
  const int64_t preemptions = preemptions_;
  for (size_t i = 0; i < running_.size() && tokens_left_ > 0; ++i) {
    Work* work = running_[i];
    if (work->waits) continue;
    const Scheduled part = Fit(work, std::ssize(running_) - static_cast<int64_t>(i) - 1);
    if (part.n_tokens == 0) continue;  // no row of logits is left for its last token
    while (!kv_.Reserve(&work->sequence, work->sequence.length() + part.n_tokens)) {
      Work* last = running_.back();
      running_.pop_back();
      last->sequence.Clear();
      Insert(&waiting_, last);
      ++preemptions_;
      if (last == work) return false;
    }
    Charge(part);
  }
  return preemptions_ == preemptions;
}

void Scheduler::ScheduleWaiting() {
  for (size_t at = 0;
       at < waiting_.size() && tokens_left_ > 0 && running() < options_.max_num_seqs;) {
    Work* work = waiting_[at];
    if (work->waits) {  // preempted, and still waiting for a mask
      ++at;
      continue;
    }
    const int64_t n = std::ssize(work->tokens);
    if (options_.prefix_cache && work->reads_prefix_cache && !work->all_logits)
      kv_.Adopt(&work->sequence, work->tokens, work->cache_salt, n - 1);
    const Scheduled part = Fit(work, 0);
    if (part.n_tokens == 0 ||
        !kv_.Reserve(&work->sequence, work->sequence.length() + part.n_tokens)) {
      work->sequence.Clear();
      return;
    }
    if (!work->admitted) work->cached_tokens = work->sequence.length();
    work->admitted = true;
    waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(at));
    Insert(&running_, work);
    Charge(part);
  }
}

// Drafts get the tokens, rows and pages that the other sequences leave.
void Scheduler::ScheduleDrafts() {
  for (Scheduled& part : scheduled_) {
    Work* work = part.work;
    const int64_t end = work->sequence.length() + part.n_tokens;
    if (end < std::ssize(work->tokens)) continue;
    const int64_t pages = std::ssize(work->sequence.pages()) + kv_.free_pages();
    const int64_t n =
        std::min({std::ssize(work->draft), tokens_left_, rows_left_, pages * kPageTokens - end});
    if (n == 0) continue;
    const Status reserved = kv_.Reserve(&work->sequence, end + n);
    CHECK(reserved.has_value());
    part.n_tokens += n;
    part.n_draft = n;
    part.n_logits += n;
    tokens_left_ -= n;
    rows_left_ -= n;
  }
}

Scheduled Scheduler::Fit(Work* work, int64_t behind) const {
  const int64_t pending = std::ssize(work->tokens) - work->sequence.length();
  CHECK(pending > 0);
  int64_t n = std::min(pending, tokens_left_);
  if (work->all_logits) {
    n = std::min({n, rows_left_, std::max(rows_left_ - behind, int64_t{1})});
    return {work, n, 0, n};
  }
  if (n < pending) return {work, n, 0, 0};
  return rows_left_ > 0 ? Scheduled{work, n, 0, 1} : Scheduled{work, n - 1, 0, 0};
}

void Scheduler::Charge(const Scheduled& part) {
  scheduled_.push_back(part);
  tokens_left_ -= part.n_tokens;
  rows_left_ -= part.n_logits;
}

}  // namespace merope
