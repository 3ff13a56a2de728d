// Threads that compile grammars, at the lowest priority: neither who submits a request nor a step
// of the engine waits for them, and they take only the time of the machine that nobody else wants.
// Owned by the engine; any thread calls it.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/error.h"
#include "engine/constraint.h"

namespace merope {

using CompiledGrammar = Result<std::shared_ptr<const Grammar>>;

class GrammarPool {
 public:
  // Called with a request's grammar, on a thread of the pool or in Add.
  using Sink = std::function<void(uint64_t request, CompiledGrammar grammar)>;
  // The compiler outlives it.
  GrammarPool(GrammarCompiler& compiler, Sink sink);
  ~GrammarPool();  // forgets what waits, waits for what is being compiled
  GrammarPool(const GrammarPool&) = delete;
  GrammarPool& operator=(const GrammarPool&) = delete;

  void Add(uint64_t request, StructuredOutputs outputs);
  // Its grammar is not wanted any more; where it is being compiled, it comes nevertheless.
  void Drop(uint64_t request);

 private:
  struct Wanted {
    uint64_t request = 0;
    StructuredOutputs outputs;
  };
  void Work();

  GrammarCompiler& compiler_;
  Sink sink_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Wanted> waiting_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;  // made as they are needed
};

}  // namespace merope
