// A model of the scheduler and of the prefix cache: the same rules, written again in the simplest
// way, with sets, maps and whole prefixes as keys. The model shares no code with the scheduler and
// the KV cache.
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

// The pages by number: which tasks hold a page, and under which prefix a page can be found.
class Pages {
 public:
  explicit Pages(int64_t n) {
    for (int page = 0; page < n; ++page) empty_.insert(page);
  }

  int64_t n_free() const { return static_cast<int64_t>(empty_.size() + kept_.size()); }

  // Gives the task pages for `length` tokens. The tokens from task.length on will be written.
  // Returns false if there are not enough free pages.
  bool Grow(Task& task, int64_t length);

  void Adopt(Task& task);
  void Publish(Task& task);
  void Clear(Task& task);
  void Cut(Task& task, int64_t length);
  bool Reset();

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
  int Take(int who);
  void Hold(int page, int who) {
    empty_.erase(page);
    std::erase(kept_, page);
    holders_[page].insert(who);
  }
  void GiveBack(int page, int who);

  std::set<int> empty_;    // free, and not in the prefix cache
  std::vector<int> kept_;  // free, in the prefix cache; evicted in this order
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
  void Remove(int id);
  std::vector<Part> Schedule();

  // Called after a step. `length` computed tokens stay, and `added` are the new tokens.
  void Commit(int id, int64_t length, const std::vector<int32_t>& added);

  std::vector<int> InOrder(const std::set<int>& ids) const;

  Limits limits;
  Pages pages;
  std::map<int, Task> tasks;
  std::set<int> running, waiting;
  int64_t preemptions = 0;
};

}  // namespace merope::model
