#include "engine/constraint.h"

#include <dlpack/dlpack.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/error.h"
#include "engine/grammar/compiled.h"

namespace {

struct TooMuchWork {};
constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();
thread_local int64_t work_left = kNoLimit;  // while grammars are compiled, too

}  // namespace

// What xgrammar was built to call while it follows a text (cmake/xgrammar.cmake).
namespace xgrammar {

void BeforeWork(int64_t amount) {
  if (work_left == kNoLimit) return;
  if ((work_left -= amount) < 0) throw TooMuchWork();
}

}  // namespace xgrammar

namespace merope {

struct Constraint::State {
  explicit State(std::shared_ptr<const Grammar> the_grammar)
      : grammar(std::move(the_grammar)),
        vocab_size(grammar->compiled.GetTokenizerInfo().GetVocabSize()),
        mask(static_cast<size_t>(vocab_size + 31) / 32) {}

  void Follow(int32_t token) {
    // Only a token of the end is not accepted: where nothing else could follow.
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
  std::optional<xgrammar::GrammarMatcher> matcher = std::nullopt;  // what it has followed
  size_t followed = 0;
  bool ended = false;
  bool prepared = false;  // what follows here
  std::vector<uint32_t> mask;
  bool finished = false;
};

Constraint::Constraint(std::shared_ptr<const Grammar> grammar)
    : state_(std::make_unique<State>(std::move(grammar))) {}
Constraint::~Constraint() = default;

bool Constraint::Prepare(int64_t work) {
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
  } catch (...) {
    work_left = kNoLimit;  // no memory
    state.matcher.reset();
    throw;
  }
  work_ += limit - std::exchange(work_left, kNoLimit);
  if (!done) state.matcher.reset();  // it stopped in the middle
  return done;
}

bool Constraint::prepared() const { return state_->prepared; }

std::span<const uint32_t> Constraint::mask() const {
  CHECK(state_->prepared);
  return state_->mask;
}

bool Constraint::finished() const {
  CHECK(state_->prepared);
  return state_->finished;
}

void Constraint::Accept(int32_t token) {
  tokens_.push_back(token);
  state_->prepared = false;
}

}  // namespace merope
