#include "engine/background_pool.h"

#include <sched.h>
#include <sys/resource.h>

#include <system_error>
#include <utility>

namespace merope {
namespace {

// Sets the priority of the calling thread, on Linux. Not SCHED_IDLE: with SCHED_IDLE, a task would
// make no progress while the engine is busy.
void SetPriority(int nice) {
  const sched_param none = {};
  sched_setscheduler(0, SCHED_BATCH, &none);
  setpriority(PRIO_PROCESS, 0, nice);
}

}  // namespace

BackgroundPool::~BackgroundPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

bool BackgroundPool::Add(uint64_t request, std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back({request, std::move(task)});
    if (threads_.size() < most_) {
      try {
        threads_.emplace_back([this] { Work(); });
      } catch (const std::system_error&) {  // the threads that exist do the work
        if (threads_.empty()) {
          waiting_.pop_back();
          return false;
        }
      }
    }
  }
  wake_.notify_one();
  return true;
}

void BackgroundPool::Drop(uint64_t request) {
  const std::lock_guard lock(mutex_);
  std::erase_if(waiting_, [&](const Task& task) { return task.request == request; });
}

void BackgroundPool::Work() {
  SetPriority(nice_);
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (stopping_) return;
    const Task task = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    task.run();
    lock.lock();
  }
}

}  // namespace merope
