#include "grammar/grammar_constraint.h"

#include <dlpack/dlpack.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/error.h"
#include "grammar/rules/compiled.h"

namespace {

struct TooMuchWork {};
// The units of work that are left to this thread. xgrammar also calls BeforeWork while it compiles
// a grammar. At that time there is no limit.
thread_local int64_t work_left = merope::TokenConstraint::kNoLimit;

}  // namespace

// cmake/xgrammar.cmake adds calls of this function to xgrammar. xgrammar calls BeforeWork while a
// matcher follows a text.
namespace xgrammar {

void BeforeWork(int64_t amount) {
  if (work_left == merope::TokenConstraint::kNoLimit) return;
  if ((work_left -= amount) < 0) throw TooMuchWork();
}

}  // namespace xgrammar

namespace merope {

struct GrammarConstraint::State {
  explicit State(std::shared_ptr<const Grammar> the_grammar)
      : grammar(std::move(the_grammar)),
        vocab_size(grammar->compiled.GetTokenizerInfo().GetVocabSize()),
        mask(static_cast<size_t>(vocab_size + 31) / 32) {}

  void Follow(int32_t token) {
    // The matcher refuses a token only if no other token could follow and FillMask allowed EOS.
    ended = ended || !matcher->AcceptToken(token) || matcher->IsTerminated();
    ++followed;
  }

  void FillMask() {
    std::ranges::fill(mask, 0);
    finished = ended || matcher->IsCompleted();
    if (!ended) {
      auto words = std::ssize(mask);
      DLTensor tensor = {};
      tensor.data = mask.data();
      tensor.device = {kDLCPU, 0};
      tensor.ndim = 1;
      tensor.dtype = {kDLInt, 32, 1};
      tensor.shape = &words;
      matcher->FillNextTokenBitmask(&tensor);
      if (vocab_size % 32 != 0) mask.back() &= (uint32_t{1} << (vocab_size % 32)) - 1;
    }
    std::vector<uint32_t> end(mask.size());
    for (const int32_t id : matcher->GetStopTokenIds())
      end[static_cast<size_t>(id) / 32] |= uint32_t{1} << (id % 32);
    uint32_t any = 0, more = 0;
    for (size_t i = 0; i < mask.size(); ++i) {
      any |= mask[i];
      more |= mask[i] & ~end[i];
    }
    if (any == 0) mask = std::move(end);
    finished = finished && more == 0;
  }

  std::shared_ptr<const Grammar> grammar;
  int vocab_size;
  std::optional<xgrammar::GrammarMatcher> matcher = std::nullopt;  // has followed `followed` tokens
  size_t followed = 0;
  bool ended = false;
  bool prepared = false;  // whether mask and finished are valid
  std::vector<uint32_t> mask;
  bool finished = false;
};

GrammarConstraint::GrammarConstraint(std::shared_ptr<const Grammar> grammar)
    : state_(std::make_unique<State>(std::move(grammar))) {}
GrammarConstraint::~GrammarConstraint() = default;

bool GrammarConstraint::Prepare(int64_t work) {
  State& state = *state_;
  if (state.prepared) return true;
  const int64_t limit = std::min(work, kNoLimit - 1);
  bool done = false;
  work_left = limit;
  try {
    if (!state.matcher) {
      state.followed = 0;
      state.ended = false;
      state.matcher.emplace(state.grammar->compiled);
    }
    while (state.followed < tokens_.size()) state.Follow(tokens_[state.followed]);
    state.FillMask();
    state.prepared = done = true;
  } catch (const TooMuchWork&) {  // NOLINT(bugprone-empty-catch): it only ends the work
  } catch (...) {                 // for example std::bad_alloc
    work_left = kNoLimit;
    state.matcher.reset();
    throw;
  }
  work_ += limit - std::exchange(work_left, kNoLimit);
  if (!done) state.matcher.reset();  // the matcher stopped in the middle of its work
  return done;
}

bool GrammarConstraint::prepared() const { return state_->prepared; }

std::span<const uint32_t> GrammarConstraint::mask() const {
  CHECK(state_->prepared);
  return state_->mask;
}

bool GrammarConstraint::finished() const {
  CHECK(state_->prepared);
  return state_->finished;
}

void GrammarConstraint::Accept(int32_t token) {
  tokens_.push_back(token);
  state_->prepared = false;
}

void GrammarConstraint::Rollback(int64_t n) {
  CHECK(n >= 0 && n <= std::ssize(tokens_));
  tokens_.resize(tokens_.size() - static_cast<size_t>(n));
  state_->matcher.reset();  // Prepare follows the remaining tokens again
  state_->prepared = false;
}

}  // namespace merope
