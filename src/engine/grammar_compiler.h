// From a request's structured output to a grammar over the vocabulary, compiled by xgrammar's
// library. A grammar is compiled once, kept, and shared by all sequences that want it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/error.h"
#include "engine/constraint.h"
#include "engine/sampling_params.h"
#include "text/tokenizer.h"

namespace merope {

using CompiledGrammar = Result<std::shared_ptr<const Grammar>>;

// Any thread; compiling is done on the caller's, and holds no lock that another one waits for but
// for the same grammar.
class GrammarCompiler {
 public:
  // The tokenizer outlives it. Nothing is made of it before the first grammar.
  GrammarCompiler(const Tokenizer& tokenizer, int64_t vocab_size,
                  std::span<const int32_t> eos_token_ids);
  ~GrammarCompiler();
  // Errors say what of it is not supported or malformed; bounded in time and memory. Cached, errors
  // too.
  CompiledGrammar Compile(const StructuredOutputs& outputs);
  // What needs no compiling: a cached grammar, or an error; null for all others.
  CompiledGrammar Known(const StructuredOutputs& outputs);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// What is wrong with it for every vocabulary; Compile finds that, and what is too large, too.
Status CheckGrammar(const StructuredOutputs& outputs);

}  // namespace merope
