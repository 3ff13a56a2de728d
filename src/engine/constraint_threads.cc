#include "engine/constraint_threads.h"

#include <algorithm>
#include <cstddef>
#include <exception>
#include <utility>

namespace merope {
namespace {

// At the lowest priority. Two, so that one costly grammar does not hold up the others; each more
// may need its memory at once.
constexpr size_t kCompilers = 2;
constexpr int kCompilersNice = 19;

// What is prepared is waited for, by a sequence: its threads take a quarter of a core that the
// engine wants, too.
constexpr size_t kPreparers = 2;
constexpr int kPreparersNice = 5;

Status PrepareAll(Constraint& constraint, int64_t tokens) {
  const int64_t most = Constraint::MostWork(tokens);
  if (constraint.Prepare(std::max<int64_t>(most - constraint.work(), 0))) return {};
  return Err(
      "structured_outputs: too ambiguous: more than {} states of its parser within {} tokens", most,
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
    } catch (const std::exception& error) {  // no memory
      done(Err("structured_outputs: {}", error.what()));
    }
  });
  if (!added) done(Err("structured_outputs: no thread could be made to compile it"));
}

void ConstraintThreads::Prepare(uint64_t request, std::shared_ptr<Constraint> constraint,
                                int64_t tokens, std::function<void(Status)> done) {
  const bool added = preparers_.Add(request, [done, tokens, constraint = std::move(constraint)] {
    try {
      done(PrepareAll(*constraint, tokens));
    } catch (const std::exception& error) {  // no memory
      done(Err("structured_outputs: {}", error.what()));
    }
  });
  if (!added) done(Err("structured_outputs: no thread could be made for it"));
}

void ConstraintThreads::Drop(uint64_t request) {
  compilers_.Drop(request);
  preparers_.Drop(request);
}

}  // namespace merope
