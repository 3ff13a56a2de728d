// The scheduler's rules and the prefix cache's, said a second time in the most naive way: sets,
// maps and whole prefixes as keys. It shares no code with what it is a model of.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace merope::model {

constexpr int64_t kPage = 64;

struct Task {
  int id = 0;  // in order of arrival
  int64_t priority = 0;
  std::vector<int32_t> tokens, draft;
  bool all_logits = false, reads = true;
  std::string salt = {};
  int64_t length = 0;  // tokens computed
  int64_t cached = -1;
  std::vector<int> pages = {};
};

struct Part {
  int id = 0;
  int64_t n_tokens = 0, n_draft = 0, n_logits = 0;
  bool operator==(const Part&) const = default;
};

// Pages by number: who holds them, and as what they can be found.
class Pages {
 public:
  explicit Pages(int64_t n) {
    for (int page = 0; page < n; ++page) empty_.insert(page);
  }

  int64_t n_free() const { return static_cast<int64_t>(empty_.size() + kept_.size()); }

  // Room for `length` tokens, of which those from task.length on are going to be written.
  bool Grow(Task& task, int64_t length) {
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

  void Adopt(Task& task) {
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

  void Publish(Task& task) {
    for (int64_t i = 0; (i + 1) * kPage <= task.length; ++i) {
      int& page = task.pages[static_cast<size_t>(i)];
      const auto [found, is_new] = cached_.try_emplace(Key(task, (i + 1) * kPage), page);
      if (is_new || found->second == page) continue;
      Hold(found->second, task.id);
      GiveBack(std::exchange(page, found->second), task.id);
    }
  }

  void Clear(Task& task) {
    for (size_t i = task.pages.size(); i-- > 0;) GiveBack(task.pages[i], task.id);
    task.pages.clear();
    task.length = 0;
  }

  void Cut(Task& task, int64_t length) {
    task.length = length;
    while (static_cast<int64_t>(task.pages.size()) > (length + kPage - 1) / kPage) {
      GiveBack(task.pages.back(), task.id);
      task.pages.pop_back();
    }
  }

  bool Reset() {
    for (const auto& [key, page] : cached_)
      if (!holders_[page].empty()) return false;
    cached_.clear();
    empty_.insert(kept_.begin(), kept_.end());
    kept_.clear();
    return true;
  }

 private:
  using Prefix = std::pair<std::string, std::vector<int32_t>>;
  static Prefix Key(const Task& task, int64_t end) {
    return {task.salt, {task.tokens.begin(), task.tokens.begin() + end}};
  }
  bool Findable(int page) const {
    return std::ranges::any_of(cached_, [&](const auto& entry) { return entry.second == page; });
  }
  void Forget(int page) {
    std::erase_if(cached_, [&](const auto& entry) { return entry.second == page; });
  }
  int Take(int who) {
    const int page = empty_.empty() ? kept_.front() : *empty_.begin();
    Forget(page);
    Hold(page, who);
    return page;
  }
  void Hold(int page, int who) {
    empty_.erase(page);
    std::erase(kept_, page);
    holders_[page].insert(who);
  }
  void GiveBack(int page, int who) {
    holders_[page].erase(who);
    if (!holders_[page].empty()) return;
    if (Findable(page)) {
      kept_.push_back(page);
    } else {
      empty_.insert(page);
    }
  }

  std::set<int> empty_;    // free, and found by nobody
  std::vector<int> kept_;  // free, but found; evicted in this order
  std::map<int, std::set<int>> holders_;
  std::map<Prefix, int> cached_;
};

struct Limits {
  int64_t pages = 0, max_num_seqs = 0, tokens = 0, rows = 0;
  bool by_priority = false, prefix_cache = true;
};

class Scheduler {
 public:
  explicit Scheduler(const Limits& given) : limits(given), pages(given.pages) {}

  void Add(const Task& task) {
    tasks[task.id] = task;
    waiting.insert(task.id);
  }
  void Remove(int id) {
    pages.Clear(tasks[id]);
    running.erase(id);
    waiting.erase(id);
    tasks.erase(id);
  }

  std::vector<Part> Schedule() {
    std::vector<Part> parts;
    int64_t tokens = limits.tokens, rows = limits.rows;
    const int64_t preempted_before = preemptions;
    const auto fit = [&](const Task& task, int64_t behind) {
      const int64_t rest = static_cast<int64_t>(task.tokens.size()) - task.length;
      Part part{.id = task.id};
      for (int64_t n = 1; n <= rest && n <= tokens; ++n) {  // the most that keeps to the rules
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
      // Longer by one token at a time, as long as there is something left of everything.
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

  // The step is done: `length` tokens are kept, `added` is what they were followed by.
  void Commit(int id, int64_t length, const std::vector<int32_t>& added) {
    Task& task = tasks[id];
    task.tokens.insert(task.tokens.end(), added.begin(), added.end());
    pages.Cut(task, length);
    if (limits.prefix_cache) pages.Publish(task);
  }

  std::vector<int> InOrder(const std::set<int>& ids) const {
    std::vector<int> order(ids.begin(), ids.end());
    std::ranges::sort(order, {}, [&](int id) {
      return std::pair(limits.by_priority ? tasks.at(id).priority : 0, id);
    });
    return order;
  }

  Limits limits;
  Pages pages;
  std::map<int, Task> tasks;
  std::set<int> running, waiting;
  int64_t preemptions = 0;
};

}  // namespace merope::model
