// A compiled grammar: xgrammar's, whose types no header but this one knows.
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
