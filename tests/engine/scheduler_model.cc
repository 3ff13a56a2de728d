#include "tests/engine/scheduler_model.h"

#include <algorithm>

namespace merope::model {

bool Pages::Grow(Task& task, int64_t length) {
  int64_t missing = (length + kPage - 1) / kPage - static_cast<int64_t>(task.pages.size());
  missing = std::max<int64_t>(missing, 0);
  const bool within = task.length % kPage != 0;
  const int64_t at = task.length / kPage;
  const int open = within ? task.pages.at(static_cast<size_t>(at)) : -1;
  const bool shared = within && holders_[open].size() > 1;
  if (n_free() < missing + (shared ? 1 : 0)) return false;
  if (shared || (within && Findable(open) && n_free() > missing)) {
    task.pages[static_cast<size_t>(at)] = Take(task.id);
    GiveBack(open, task.id);
  } else if (within) {
    Forget(open);
  }
  for (int64_t i = 0; i < missing; ++i) task.pages.push_back(Take(task.id));
  return true;
}

void Pages::Adopt(Task& task) {
  const auto at_most = static_cast<int64_t>(task.tokens.size()) - 1;
  for (int64_t end = kPage; end - kPage < at_most; end += kPage) {
    if (end > static_cast<int64_t>(task.tokens.size())) break;
    const auto found = cached_.find(Key(task, end));
    if (found == cached_.end()) break;
    Hold(found->second, task.id);
    task.pages.push_back(found->second);
    task.length = std::min(end, at_most);
  }
}

void Pages::Publish(Task& task) {
  for (int64_t i = 0; (i + 1) * kPage <= task.length; ++i) {
    int& page = task.pages[static_cast<size_t>(i)];
    const auto [found, is_new] = cached_.try_emplace(Key(task, (i + 1) * kPage), page);
    if (is_new || found->second == page) continue;
    Hold(found->second, task.id);
    GiveBack(std::exchange(page, found->second), task.id);
  }
}

void Pages::Clear(Task& task) {
  for (size_t i = task.pages.size(); i-- > 0;) GiveBack(task.pages[i], task.id);
  task.pages.clear();
  task.length = 0;
}

void Pages::Cut(Task& task, int64_t length) {
  task.length = length;
  while (static_cast<int64_t>(task.pages.size()) > (length + kPage - 1) / kPage) {
    GiveBack(task.pages.back(), task.id);
    task.pages.pop_back();
  }
}

bool Pages::Reset() {
  for (const auto& [key, page] : cached_)
    if (!holders_[page].empty()) return false;
  cached_.clear();
  empty_.insert(kept_.begin(), kept_.end());
  kept_.clear();
  return true;
}

int Pages::Take(int who) {
  const int page = empty_.empty() ? kept_.front() : *empty_.begin();
  Forget(page);
  Hold(page, who);
  return page;
}

void Pages::GiveBack(int page, int who) {
  holders_[page].erase(who);
  if (!holders_[page].empty()) return;
  if (Findable(page)) {
    kept_.push_back(page);
  } else {
    empty_.insert(page);
  }
}

void Scheduler::Remove(int id) {
  pages.Clear(tasks[id]);
  running.erase(id);
  waiting.erase(id);
  tasks.erase(id);
}

std::vector<Part> Scheduler::Schedule() {
  std::vector<Part> parts;
  int64_t tokens = limits.tokens, rows = limits.rows;
  const int64_t preempted_before = preemptions;
  const auto fit = [&](const Task& task, int64_t behind) {
    const int64_t rest = static_cast<int64_t>(task.tokens.size()) - task.length;
    Part part{.id = task.id};
    for (int64_t n = 1; n <= rest && n <= tokens; ++n) {  // the largest n that keeps the rules
      const int64_t logits = task.all_logits ? n : n == rest ? 1 : 0;
      if (logits > rows) break;
      if (task.all_logits && n > 1 && logits > rows - behind) break;
      part = {task.id, n, 0, logits};
    }
    return part;
  };
  const auto take = [&](const Part& part) {
    tokens -= part.n_tokens;
    rows -= part.n_logits;
    parts.push_back(part);
  };

  for (const int id : InOrder(running)) {
    if (tokens == 0) break;
    if (!running.contains(id)) continue;
    const std::vector<int> now = InOrder(running);
    const auto behind = now.end() - std::ranges::find(now, id) - 1;
    const Part part = fit(tasks[id], behind);
    if (part.n_tokens == 0) continue;
    bool fits = false;
    while (running.contains(id) && !fits) {
      fits = pages.Grow(tasks[id], tasks[id].length + part.n_tokens);
      if (fits) break;
      const int last = InOrder(running).back();
      pages.Clear(tasks[last]);
      running.erase(last);
      waiting.insert(last);
      ++preemptions;
    }
    if (!fits) break;
    take(part);
  }
  while (preemptions == preempted_before && tokens > 0 && !waiting.empty() &&
         static_cast<int64_t>(running.size()) < limits.max_num_seqs) {
    Task& task = tasks[InOrder(waiting).front()];
    if (limits.prefix_cache && task.reads && !task.all_logits) pages.Adopt(task);
    const Part part = fit(task, 0);
    if (part.n_tokens == 0 || !pages.Grow(task, task.length + part.n_tokens)) {
      pages.Clear(task);
      break;
    }
    if (task.cached < 0) task.cached = task.length;
    waiting.erase(task.id);
    running.insert(task.id);
    take(part);
  }
  for (Part& part : parts) {
    Task& task = tasks[part.id];
    if (task.length + part.n_tokens < static_cast<int64_t>(task.tokens.size())) continue;
    // Adds one draft token at a time, while tokens, rows and pages are left.
    while (part.n_draft < static_cast<int64_t>(task.draft.size()) && tokens > 0 && rows > 0 &&
           pages.Grow(task, task.length + part.n_tokens + 1)) {
      ++part.n_tokens;
      ++part.n_draft;
      ++part.n_logits;
      --tokens;
      --rows;
    }
  }
  return parts;
}

void Scheduler::Commit(int id, int64_t length, const std::vector<int32_t>& added) {
  Task& task = tasks[id];
  task.tokens.insert(task.tokens.end(), added.begin(), added.end());
  pages.Cut(task, length);
  if (limits.prefix_cache) pages.Publish(task);
}

std::vector<int> Scheduler::InOrder(const std::set<int>& ids) const {
  std::vector<int> order(ids.begin(), ids.end());
  std::ranges::sort(order, {}, [&](int id) {
    return std::pair(limits.by_priority ? tasks.at(id).priority : 0, id);
  });
  return order;
}

}  // namespace merope::model
