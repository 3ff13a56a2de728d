// Verbatim decoding: inside a reference of the answer, a model can only write one contiguous part
// of the source that the reference names. The constraint follows the bytes of the text:
//
//   free text <ref name="N">part of source N</ref> free text
//
// "<ref" opens a reference that must go on and must end; no EOS and no stop string counts before.
// Only sources that hold a quote can be named. The engine makes one constraint for each sequence
// and calls it on its thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "grammar/token_constraint.h"
#include "rag/quotable.h"
#include "rag/rag_tokens.h"

namespace merope {

enum class CiteRule : uint8_t {
  kFree,  // the model cites where it wants to
  kOnce,  // the answer has at least one reference, if any source holds a quote: the first sentence
          // ends in one
};
Result<CiteRule> ParseCiteRule(std::string_view name);  // "free", "once"

struct QuoteRules {
  RagTokens tokens = {};
  std::vector<int32_t> eos_token_ids = {};
  bool in_answer = false;  // the prompt has opened the answer
  CiteRule cite = CiteRule::kFree;
};

class QuoteConstraint : public TokenConstraint {
 public:
  QuoteConstraint(std::shared_ptr<const Quotable> quotable, QuoteRules rules);

  bool Prepare(int64_t work) override;
  bool prepared() const override { return prepared_; }
  int64_t work() const override { return work_; }
  std::span<const uint32_t> mask() const override { return mask_; }
  bool finished() const override { return false; }
  bool may_end() const override { return state_.place <= Place::kText; }
  void Accept(int32_t token) override;
  void Rollback(int64_t n) override;

 private:
  enum class Place : uint8_t { kOutside, kText, kName, kNumber, kBracket, kQuote };
  struct State {
    Place place = Place::kOutside;
    uint8_t matched = 0;       // kText: bytes of "<ref"; kName: bytes of ` name="`
    uint8_t closing = 0;       // kQuote: bytes of "</ref>", if the quote may have ended
    bool source_id = false;    // kNumber: the token came
    bool fresh = false;        // kQuote: nothing of the quote yet; `at` is not filled
    bool cited = false;        // the answer has a reference
    bool due = false;          // a sentence has ended, and must have a reference
    bool perhaps = false;      // a full stop after a digit: white space then shows the end
    uint8_t closers = 0;       // due: closing marks after the end of the sentence
    uint32_t last_bytes = 0;   // kText: the last bytes of the sentence
    int64_t sentence = 0;      // kText: its bytes so far
    int64_t number = 0;        // the source
    uint32_t length = 0;       // kQuote: bytes so far
    std::vector<uint32_t> at;  // kQuote: where in the source the quote may be
  };

  bool Step(State* state, char byte) const;
  bool StepText(State* state, char byte) const;
  bool StepQuote(State* state, char byte) const;
  // Whether a token may end here: tokens can spell what must follow.
  bool MayStand(const State& state) const;
  // Whether the token's bytes from `from` on may follow the state.
  bool MayFollow(const State& state, int32_t token, size_t from);
  bool MustCite(const State& state) const {
    return rules_.cite == CiteRule::kOnce && !state.cited && quotable_->MayCite();
  }

  void Allow(int32_t token);
  void AllowText();
  void AllowForced(std::string_view next);
  void AllowQuote();
  // Allows the tokens of the node that go on with "</ref>" after `closing` bytes of it.
  void AllowClosing(TokenSpellings::Node node, size_t closing);

  std::shared_ptr<const Quotable> quotable_;
  QuoteRules rules_;
  State state_, trial_, after_quote_;
  std::vector<int32_t> tokens_;  // accepted
  std::vector<uint32_t> all_;    // the mask of all tokens
  std::vector<uint32_t> mask_;
  bool prepared_ = false;
  int64_t work_ = 0;
};

}  // namespace merope
