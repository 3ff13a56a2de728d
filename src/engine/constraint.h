// Structured output: what a text may be, as masks over the vocabulary. A Grammar is compiled once
// and shared; each sequence has a Constraint of its own, its place in that grammar. By xgrammar's
// library, whose types stay in constraint.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/error.h"
#include "engine/sampling_params.h"
#include "text/tokenizer.h"

namespace merope {

class Grammar;  // compiled; immutable

// One sequence's. The engine's thread.
class Constraint {
 public:
  Constraint(std::shared_ptr<const Grammar> grammar);
  ~Constraint();
  Constraint(Constraint&&) noexcept;
  // mask ((vocab_size + 31) / 32): bit i % 32 of word i / 32 is set where token i may follow. EOS
  // ids may where the text is whole.
  void Mask(std::span<uint32_t> mask);
  // The token has followed: one that Mask allowed.
  void Accept(int32_t token);
  bool finished() const;  // nothing but EOS may follow, or EOS has

 private:
  struct State;
  std::unique_ptr<State> state_;
};

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
  Result<std::shared_ptr<const Grammar>> Compile(const StructuredOutputs& outputs);
  // What needs no compiling: a cached grammar, or an error; null for all others.
  Result<std::shared_ptr<const Grammar>> Known(const StructuredOutputs& outputs);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace merope
