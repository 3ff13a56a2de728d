// Structured output as a token constraint: the position of one sequence in a compiled grammar.
// Several constraints may share one grammar. The engine makes and calls a constraint, on the
// threads that token_constraint.h names.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "grammar/token_constraint.h"

namespace merope {

class Grammar;  // a compiled grammar (grammar_compiler.h); immutable

class GrammarConstraint : public TokenConstraint {
 public:
  explicit GrammarConstraint(std::shared_ptr<const Grammar> grammar);
  ~GrammarConstraint() override;

  // The time depends on how ambiguous the grammar is. After a call that returned false, the next
  // call follows the whole text again.
  bool Prepare(int64_t work) override;
  bool prepared() const override;
  std::span<const uint32_t> mask() const override;
  bool finished() const override;
  void Accept(int32_t token) override;
  void Rollback(int64_t n) override;
  int64_t work() const override { return work_; }

 private:
  struct State;
  std::unique_ptr<State> state_;
  std::vector<int32_t> tokens_;  // the accepted tokens
  int64_t work_ = 0;
};

}  // namespace merope
