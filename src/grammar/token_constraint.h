// A constraint on the tokens of a text: for each next token, a mask over the vocabulary of the
// tokens that may follow. The engine makes one constraint per sequence and calls the constraint
// before it samples each token. A grammar (grammar_constraint.h) is one kind of constraint. Other
// rules about tokens are other kinds. The engine's thread calls a constraint. Prepare may also run
// on a thread of engine/constraint_threads.h.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <vector>

namespace merope {

// Only one thread at a time may use a constraint.
class TokenConstraint {
 public:
  static constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();

  virtual ~TokenConstraint() = default;

  // Finds the tokens that may follow the tokens so far, unless they are already known. Returns
  // false if this takes more than `work` units of 10 to 20 nanoseconds each. After false, the next
  // call starts again.
  virtual bool Prepare(int64_t work) = 0;
  virtual bool prepared() const = 0;
  virtual int64_t work() const = 0;  // units of all calls of Prepare together
  // Call mask and finished only if prepared() is true.
  // mask: (vocab_size + 31) / 32 words. Bit i % 32 of word i / 32 is set if token i may follow. The
  // bits of the EOS ids are set if the text is complete.
  virtual std::span<const uint32_t> mask() const = 0;
  virtual bool finished() const = 0;  // only EOS may follow, or EOS has followed
  // Whether a stop string or a stop token may end the text here. May be called at any time.
  virtual bool may_end() const { return true; }

  // Appends a token to the text. The token must be in the mask.
  virtual void Accept(int32_t token) = 0;
  // Removes the last n accepted tokens from the text.
  virtual void Rollback(int64_t n) = 0;

  // The units that a sequence of `tokens` tokens may take in total: at most 0.2 s, plus 20 ms per
  // token. A JSON object with free members takes 1.2 million units for its worst token, and 0.2
  // million units for an average token.
  static constexpr int64_t MostWork(int64_t tokens) { return 10'000'000 + 1'000'000 * tokens; }
};

// Makes the constraint of a new sequence. The engine's thread calls the maker.
using ConstraintMaker = std::function<std::unique_ptr<TokenConstraint>()>;

// Several constraints at once. A token may follow if every constraint allows it. If the constraints
// allow no token in common, the mask is empty, and the text cannot go on.
class AllConstraints : public TokenConstraint {
 public:
  explicit AllConstraints(std::vector<std::unique_ptr<TokenConstraint>> constraints);

  bool Prepare(int64_t work) override;
  bool prepared() const override { return prepared_; }
  int64_t work() const override;
  std::span<const uint32_t> mask() const override;
  bool finished() const override;
  bool may_end() const override;
  void Accept(int32_t token) override;
  void Rollback(int64_t n) override;

 private:
  std::vector<std::unique_ptr<TokenConstraint>> constraints_;
  bool prepared_ = false;
  std::vector<uint32_t> mask_;
};

}  // namespace merope
