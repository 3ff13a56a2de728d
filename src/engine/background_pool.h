// Threads for work that the engine's thread must not wait for: compiling grammars, and preparing
// masks that take long. The threads' priority decides how much CPU time they take from the engine.
// ConstraintThreads owns the pools. Any thread may call a pool.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace merope {

class BackgroundPool {
 public:
  // threads: the maximum number of threads. nice: the threads' priority, from 0 to 19 (lowest).
  // Each Add starts one more thread until the pool has that many threads.
  BackgroundPool(size_t threads, int nice) : most_(threads), nice_(nice) {}
  ~BackgroundPool();  // drops the waiting tasks, then waits for the running tasks
  BackgroundPool(const BackgroundPool&) = delete;
  BackgroundPool& operator=(const BackgroundPool&) = delete;

  // Tasks begin in the order of Add. A task must not throw. Returns false if the pool has no thread
  // and cannot start one.
  bool Add(uint64_t request, std::function<void()> task);
  // Removes the tasks of this request that have not begun.
  void Drop(uint64_t request);

 private:
  struct Task {
    uint64_t request = 0;
    std::function<void()> run;
  };
  void Work();

  size_t most_;
  int nice_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Task> waiting_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace merope
