// Threads for what the engine's own thread must not wait for: the compiling of grammars, and masks
// that take long. Their priority says how much of the machine they take from the engine. Owned by
// the engine; any thread calls it.
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
  // nice: 0 to 19, the lowest priority. Threads are made as they are needed.
  BackgroundPool(size_t threads, int nice) : most_(threads), nice_(nice) {}
  ~BackgroundPool();  // forgets what waits, waits for what is being done
  BackgroundPool(const BackgroundPool&) = delete;
  BackgroundPool& operator=(const BackgroundPool&) = delete;

  // In order; a task throws nothing. False where no thread could be made.
  bool Add(uint64_t request, std::function<void()> task);
  // Tasks of this request that have not begun are not wanted any more.
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
