// What of structured output takes longer than a step: grammars are compiled, and masks prepared, on
// threads that leave the machine to the engine's own. Owned by the engine; any thread calls it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "engine/background_pool.h"
#include "engine/constraint.h"
#include "engine/grammar_compiler.h"
#include "engine/sampling_params.h"

namespace merope {

class ConstraintThreads {
 public:
  // The compiler outlives it.
  explicit ConstraintThreads(GrammarCompiler& grammars);

  // `done` is called once: on one of the threads, or at once where no thread can be made. Not at
  // all when the request is dropped before its turn, or when the engine ends.
  void Compile(uint64_t request, StructuredOutputs outputs,
               std::function<void(CompiledGrammar)> done);
  // What is left of the constraint's work after so many tokens of its sequence. Nobody else touches
  // the constraint until `done`.
  void Prepare(uint64_t request, std::shared_ptr<Constraint> constraint, int64_t tokens,
               std::function<void(Status)> done);
  void Drop(uint64_t request);

 private:
  GrammarCompiler& grammars_;
  BackgroundPool compilers_, preparers_;
};

}  // namespace merope
