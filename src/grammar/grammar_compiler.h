// Compiles the structured output of a request to a grammar over the vocabulary, with the xgrammar
// library. Each grammar is compiled once, cached, and shared by all sequences that use it. The
// engine owns the compiler.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/error.h"
#include "grammar/structured_outputs.h"
#include "text/tokenizer.h"

namespace merope {

class Grammar;  // a compiled grammar, immutable
using CompiledGrammar = Result<std::shared_ptr<const Grammar>>;

// Any thread may call a GrammarCompiler. Compile works on the caller's thread and holds no lock
// meanwhile. A call of Compile waits for another call only in two cases: both want the same
// grammar, or the other call is making the vocabulary for the first time.
class GrammarCompiler {
 public:
  // The tokenizer must outlive the compiler. The constructor does not read the vocabulary. The
  // first Compile reads the vocabulary.
  GrammarCompiler(const Tokenizer& tokenizer, int64_t vocab_size,
                  std::span<const int32_t> eos_token_ids);
  ~GrammarCompiler();
  // An error names the part that is malformed or not supported. Time and memory are bounded. The
  // cache keeps grammars and errors, except errors from a lack of time or memory.
  CompiledGrammar Compile(const StructuredOutputs& outputs);
  // Returns a result that needs no compiling: a cached grammar, or an error. Returns null if the
  // grammar must be compiled.
  CompiledGrammar Known(const StructuredOutputs& outputs);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Finds the errors that do not depend on the vocabulary. Compile finds these errors too, and also
// refuses grammars that are too large for the vocabulary.
Status CheckGrammar(const StructuredOutputs& outputs);

}  // namespace merope
