#include "engine/constraint_threads.h"

#include <algorithm>
#include <cstddef>
#include <exception>
#include <utility>

namespace merope {
namespace {

// The compiling threads have the lowest priority. There are two, so that one costly grammar does
// not delay the others. Each further thread may need memory for one more grammar at the same time.
constexpr size_t kCompilers = 2;
constexpr int kCompilersNice = 19;

// A sequence waits while one of these threads prepares the sequence's mask. If such a thread and
// the engine need the same core, the thread gets a quarter of the core's time at this priority.
constexpr size_t kPreparers = 2;
constexpr int kPreparersNice = 5;

Status PrepareAll(TokenConstraint& constraint, int64_t tokens) {
  const int64_t most = TokenConstraint::MostWork(tokens);
  if (constraint.Prepare(std::max<int64_t>(most - constraint.work(), 0))) return {};
  return FieldErr("structured_outputs",
                  "too ambiguous: more than {} states of its parser within {} tokens", most,
                  tokens);
}

}  // namespace

ConstraintThreads::ConstraintThreads(GrammarCompiler& grammars)
    : grammars_(grammars),
      compilers_(kCompilers, kCompilersNice),
      preparers_(kPreparers, kPreparersNice) {}

void ConstraintThreads::Compile(uint64_t request, StructuredOutputs outputs,
                                std::function<void(CompiledGrammar)> done) {
  const bool added = compilers_.Add(request, [this, done, outputs = std::move(outputs)] {
    try {
      done(grammars_.Compile(outputs));
    } catch (const std::exception& error) {  // out of memory
      done(FieldErr("structured_outputs", "{}", error.what()));
    }
  });
  if (!added) done(FieldErr("structured_outputs", "no thread could be made to compile it"));
}

void ConstraintThreads::Prepare(uint64_t request, std::shared_ptr<TokenConstraint> constraint,
                                int64_t tokens, std::function<void(Status)> done) {
  const bool added = preparers_.Add(request, [done, tokens, constraint = std::move(constraint)] {
    try {
      done(PrepareAll(*constraint, tokens));
    } catch (const std::exception& error) {  // out of memory
      done(FieldErr("structured_outputs", "{}", error.what()));
    }
  });
  if (!added) done(FieldErr("structured_outputs", "no thread could be made for it"));
}

void ConstraintThreads::Drop(uint64_t request) {
  compilers_.Drop(request);
  preparers_.Drop(request);
}

}  // namespace merope
