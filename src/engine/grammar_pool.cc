#include "engine/grammar_pool.h"

#include <sched.h>
#include <sys/resource.h>

#include <exception>
#include <system_error>
#include <utility>

namespace merope {
namespace {

// Two, so that one costly grammar does not hold up the others. Each more may need its memory at
// once.
constexpr size_t kThreads = 2;

// Of the calling thread, on Linux. Not SCHED_IDLE, with which a grammar would stand still beside a
// busy engine.
void SetLowestPriority() {
  const sched_param none = {};
  sched_setscheduler(0, SCHED_BATCH, &none);
  setpriority(PRIO_PROCESS, 0, 19);
}

}  // namespace

GrammarPool::GrammarPool(GrammarCompiler& compiler, Sink sink)
    : compiler_(compiler), sink_(std::move(sink)) {}

GrammarPool::~GrammarPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void GrammarPool::Add(uint64_t request, StructuredOutputs outputs) {
  bool none = false;
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back({request, std::move(outputs)});
    if (threads_.size() < kThreads) {
      try {
        threads_.emplace_back([this] { Work(); });
      } catch (const std::system_error&) {  // those that are there do
        none = threads_.empty();
        if (none) waiting_.pop_back();
      }
    }
  }
  wake_.notify_one();
  if (none) sink_(request, Err("structured_outputs: no thread could be made to compile it"));
}

void GrammarPool::Drop(uint64_t request) {
  const std::lock_guard lock(mutex_);
  std::erase_if(waiting_, [&](const Wanted& wanted) { return wanted.request == request; });
}

void GrammarPool::Work() {
  SetLowestPriority();
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (stopping_) return;
    const Wanted wanted = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    try {
      sink_(wanted.request, compiler_.Compile(wanted.outputs));
    } catch (const std::exception& error) {  // no memory
      sink_(wanted.request, Err("structured_outputs: {}", error.what()));
    }
    lock.lock();
  }
}

}  // namespace merope
