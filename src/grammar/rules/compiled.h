// A compiled grammar of xgrammar. No other header uses xgrammar's types. grammar_compiler.cc makes
// a Grammar, and grammar_constraint.cc matches tokens against the Grammar.
#pragma once

#include <xgrammar/xgrammar.h>

#include <utility>

namespace merope {

class Grammar {
 public:
  explicit Grammar(xgrammar::CompiledGrammar grammar) : compiled(std::move(grammar)) {}
  xgrammar::CompiledGrammar compiled;
};

}  // namespace merope
