// Does the work of structured outputs that takes longer than a step: compiles grammars and prepares
// masks. Background threads with a lower priority than the engine's thread do this work. The engine
// owns a ConstraintThreads. Any thread may call the functions.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "engine/background_pool.h"
#include "grammar/grammar_compiler.h"
#include "grammar/token_constraint.h"

namespace merope {

class ConstraintThreads {
 public:
  // The compiler must outlive this object.
  explicit ConstraintThreads(GrammarCompiler& grammars);

  // Calls `done` once: on a background thread, or at once on the calling thread if no thread can be
  // started. Does not call `done` if the request is dropped before its task begins, or if the
  // engine ends.
  void Compile(uint64_t request, StructuredOutputs outputs,
               std::function<void(CompiledGrammar)> done);
  // Prepares the constraint's next mask. The limit is the work that a sequence of `tokens` tokens
  // may take in total (TokenConstraint::MostWork), minus the work already done. Beyond the limit,
  // `done` gets an error. Nobody else may use the constraint until `done` is called.
  void Prepare(uint64_t request, std::shared_ptr<TokenConstraint> constraint, int64_t tokens,
               std::function<void(Status)> done);
  void Drop(uint64_t request);

 private:
  GrammarCompiler& grammars_;
  BackgroundPool compilers_, preparers_;
};

}  // namespace merope
