// Structured output: what a text may be, as masks over the vocabulary. Each sequence has a
// Constraint of its own, its place in a grammar that others may share.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <vector>

namespace merope {

class Grammar;  // compiled (engine/grammar_compiler.h); immutable

// One thread at a time.
class Constraint {
 public:
  explicit Constraint(std::shared_ptr<const Grammar> grammar);
  ~Constraint();
  Constraint(const Constraint&) = delete;
  Constraint& operator=(const Constraint&) = delete;

  // Finds out what may follow here, where that is not known yet. How long it takes depends on how
  // ambiguous the grammar is: false where it is more than `work` units, of 10 to 20 nanoseconds
  // each. The next call then follows the whole text again.
  bool Prepare(int64_t work = std::numeric_limits<int64_t>::max());
  bool prepared() const;
  // Both once prepared.
  // mask: (vocab_size + 31) / 32 words. Bit i % 32 of word i / 32 is set where token i may follow;
  // those of EOS ids where the text is whole.
  std::span<const uint32_t> mask() const;
  bool finished() const;  // nothing but EOS may follow, or EOS has
  // The token has followed: one of the mask.
  void Accept(int32_t token);

  int64_t work() const { return work_; }  // of all calls of Prepare
  // That a sequence of so many tokens may take in all: 0.2 s, and 20 ms a token. An object of free
  // members takes 1.2 million for its worst token, and 0.2 million for the average one.
  static constexpr int64_t MostWork(int64_t tokens) { return 10'000'000 + 1'000'000 * tokens; }

 private:
  struct State;
  std::unique_ptr<State> state_;
  std::vector<int32_t> tokens_;  // that have followed
  int64_t work_ = 0;
};

}  // namespace merope
