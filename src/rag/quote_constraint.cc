#include "rag/quote_constraint.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace merope {
namespace {

constexpr std::string_view kOpening = "<ref", kName = " name=\"", kClosing = "</ref>";
constexpr std::string_view kDigits = "0123456789";
// What may follow the end of a sentence that must have a reference: a few closing marks, and then
// the reference.
constexpr std::string_view kAfterSentence = ")]\"'*<";
constexpr uint8_t kMostClosers = 3;
// A full stop ends a sentence of at least so many bytes. A shorter one is an abbreviation.
constexpr int64_t kLeastSentence = 12;
// Tokens that a new sequence has room for. The list then grows by doubling.
constexpr size_t kReserved = 4096;

bool EndsSentence(uint32_t last_bytes) {
  const uint32_t last = last_bytes & 0xFF, three = last_bytes & 0xFFFFFF;
  return last == '.' || last == '!' || last == '?' || last == '\n' || three == 0xE38082 ||  // 。
         three == 0xEFBC81 || three == 0xEFBC9F;                                            // ！ ？
}

}  // namespace

Result<CiteRule> ParseCiteRule(std::string_view name) {
  if (name == "free") return CiteRule::kFree;
  if (name == "once") return CiteRule::kOnce;
  return Err("cite: expected free or once, found \"{}\"", name);
}

QuoteConstraint::QuoteConstraint(std::shared_ptr<const Quotable> quotable, QuoteRules rules)
    : quotable_(std::move(quotable)), rules_(std::move(rules)) {
  const TokenSpellings& spellings = quotable_->spellings();
  const int64_t vocab = spellings.vocab_size();
  all_.assign(static_cast<size_t>(vocab + 31) / 32, ~uint32_t{0});
  if (vocab % 32 != 0) all_.back() = (uint32_t{1} << (vocab % 32)) - 1;
  mask_ = all_;
  size_t longest = 0;
  for (int64_t number = 1; number <= quotable_->sources(); ++number)
    longest = std::max(longest, quotable_->source(number).starts().size());
  for (State* state : {&state_, &trial_, &after_quote_}) state->at.reserve(longest);
  tokens_.reserve(kReserved);
  state_.place = rules_.in_answer ? Place::kText : Place::kOutside;
}

bool QuoteConstraint::Step(State* state, char byte) const {
  switch (state->place) {
    case Place::kOutside:
      return true;
    case Place::kText:
      return StepText(state, byte);
    case Place::kName:
      if (byte != kName[state->matched]) return false;
      if (++state->matched == kName.size()) {
        state->place = Place::kNumber;
        state->number = 0;
        state->source_id = false;
      }
      return true;
    case Place::kNumber:
      if (byte == '"') {
        state->place = Place::kBracket;
        return quotable_->MayCite(state->number);
      }
      if (byte < '0' || byte > '9') return false;
      state->number = 10 * state->number + (byte - '0');
      return quotable_->MayBegin(state->number);
    case Place::kBracket:
      state->place = Place::kQuote;
      state->fresh = true;
      state->length = state->closing = 0;
      state->at.clear();
      return byte == '>';
    case Place::kQuote:
      return StepQuote(state, byte);
  }
  return false;
}

bool QuoteConstraint::StepText(State* state, char byte) const {
  if (state->due) {
    const bool goes_on =
        state->matched > 0 ? byte == kOpening[state->matched] : kAfterSentence.contains(byte);
    if (!goes_on || (byte != '<' && state->matched == 0 && ++state->closers > kMostClosers))
      return false;
  }
  state->matched = byte == kOpening[state->matched] ? state->matched + 1 : byte == '<' ? 1 : 0;
  if (state->matched == kOpening.size()) {
    if (!quotable_->MayCite()) return false;
    state->place = Place::kName;
    state->matched = 0;
    return true;
  }
  if (state->due || !MustCite(*state)) return true;
  const char before = static_cast<char>(state->last_bytes & 0xFF);
  state->last_bytes = state->last_bytes << 8 | static_cast<unsigned char>(byte);
  ++state->sentence;
  if (std::exchange(state->perhaps, false) && (byte == ' ' || byte == '\n')) {
    state->due = true;
  } else if (EndsSentence(state->last_bytes)) {
    state->perhaps = byte == '.' && before >= '0' && before <= '9';  // "3.5" goes on
    state->due = !state->perhaps && state->sentence >= kLeastSentence;
    if (!state->due && !state->perhaps) state->sentence = 0;
  }
  return true;
}

bool QuoteConstraint::StepQuote(State* state, char byte) const {
  const QuotableText& source = quotable_->source(state->number);
  const std::string_view text = source.text();
  bool may_end = false;
  if (state->fresh) {
    state->fresh = false;
    for (const uint32_t start : source.starts())
      if (text[start] == byte && source.MayHold(start, start + 1)) state->at.push_back(start + 1);
  } else {
    size_t kept = 0;
    for (const uint32_t at : state->at) {
      const size_t start = at - state->length;
      may_end = may_end || source.MayEnd(start, at);
      if (at < text.size() && text[at] == byte && source.MayHold(start, at + 1))
        state->at[kept++] = at + 1;
    }
    state->at.resize(kept);
  }
  ++state->length;
  // "<" may be a part of the source and begin "</ref>" at once, and again before the next byte.
  if (state->closing > 0 && byte == kClosing[state->closing])
    ++state->closing;
  else
    state->closing = may_end && byte == kClosing[0] ? 1 : 0;
  if (state->closing == kClosing.size()) {
    *state = {.place = Place::kText, .cited = true, .at = std::move(state->at)};
    state->at.clear();
    return true;
  }
  return state->closing > 0 || !state->at.empty();
}

bool QuoteConstraint::MayStand(const State& state) const {
  if (state.place != Place::kQuote || state.fresh || state.closing > 0) return true;
  const QuotableText& source = quotable_->source(state.number);
  return std::ranges::any_of(state.at,
                             [&](uint32_t at) { return source.MayStand(at - state.length, at); });
}

bool QuoteConstraint::MayFollow(const State& state, int32_t token, size_t from) {
  trial_ = state;  // reuses the memory of trial_
  ++work_;
  for (const char byte : quotable_->spellings().Bytes(token).substr(from))
    if (!Step(&trial_, byte)) return false;
  return MayStand(trial_);
}

void QuoteConstraint::Allow(int32_t token) {
  mask_[static_cast<size_t>(token) / 32] |= uint32_t{1} << (token % 32);
}

bool QuoteConstraint::Prepare(int64_t) {
  if (prepared_) return true;
  switch (state_.place) {
    case Place::kOutside:
      mask_ = all_;
      break;
    case Place::kText:
      AllowText();
      break;
    case Place::kName:
      std::ranges::fill(mask_, 0);
      AllowForced(kName.substr(state_.matched, 1));
      break;
    case Place::kNumber:
      std::ranges::fill(mask_, 0);
      AllowForced(state_.number == 0 ? kDigits : "0123456789\"");
      if (rules_.tokens.source_id && state_.number == 0 && !state_.source_id)
        Allow(*rules_.tokens.source_id);
      break;
    case Place::kBracket:
      std::ranges::fill(mask_, 0);
      AllowForced(">");
      break;
    case Place::kQuote:
      std::ranges::fill(mask_, 0);
      AllowQuote();
      break;
  }
  prepared_ = true;
  return true;
}

// Nearly every token may follow. Only those with a "<", and those that go on after a "<", need to
// be followed byte by byte.
void QuoteConstraint::AllowText() {
  const TokenSpellings& spellings = quotable_->spellings();
  if (state_.due) {
    std::ranges::fill(mask_, 0);
    return AllowForced(state_.matched > 0 ? kOpening.substr(state_.matched, 1) : kAfterSentence);
  }
  mask_ = all_;
  const auto refuse = [this](int32_t id) {
    if (!MayFollow(state_, id, 0))
      mask_[static_cast<size_t>(id) / 32] &= ~(uint32_t{1} << (id % 32));
  };
  for (const int32_t id : spellings.with_bracket()) refuse(id);
  if (state_.matched > 0)
    for (const int32_t id :
         spellings.Tokens(spellings.Child(spellings.root(), kOpening[state_.matched])))
      refuse(id);
  if (MustCite(state_)) {
    for (const int32_t id : rules_.eos_token_ids)
      if (id >= 0 && id < spellings.vocab_size())
        mask_[static_cast<size_t>(id) / 32] &= ~(uint32_t{1} << (id % 32));
    for (const int32_t id : spellings.beyond_sentence()) refuse(id);
  }
}

void QuoteConstraint::AllowForced(std::string_view next) {
  const TokenSpellings& spellings = quotable_->spellings();
  for (const char byte : next)
    for (const int32_t id : spellings.Tokens(spellings.Child(spellings.root(), byte)))
      if (MayFollow(state_, id, 0)) Allow(id);
}

void QuoteConstraint::AllowQuote() {
  const TokenSpellings& spellings = quotable_->spellings();
  const QuotableText& source = quotable_->source(state_.number);
  if (state_.fresh) {
    std::ranges::copy(source.first_tokens(), mask_.begin());
    return;
  }
  const std::string_view text = source.text();
  for (const uint32_t place : state_.at) {
    const size_t start = place - state_.length;
    TokenSpellings::Node node = spellings.root();
    for (size_t at = place;; ++at) {
      if (at > place && source.MayStand(start, at))
        for (const int32_t id : spellings.Tokens(node)) {
          if (!spellings.IsWhole(node, id)) break;
          Allow(id);
        }
      if (source.MayEnd(start, at)) AllowClosing(node, 0);
      if (at == text.size() || !source.MayHold(start, at + 1)) break;
      node = spellings.Child(node, text[at]);
      ++work_;
      if (node.empty()) break;
    }
  }
  if (state_.closing > 0) AllowClosing(spellings.root(), state_.closing);
}

void QuoteConstraint::AllowClosing(TokenSpellings::Node node, size_t closing) {
  const TokenSpellings& spellings = quotable_->spellings();
  while (closing < kClosing.size()) {
    node = spellings.Child(node, kClosing[closing++]);
    ++work_;
    if (node.empty()) return;
    for (const int32_t id : spellings.Tokens(node)) {
      if (!spellings.IsWhole(node, id)) break;
      Allow(id);
    }
  }
  after_quote_.place = Place::kText;
  after_quote_.cited = true;
  for (const int32_t id : spellings.Tokens(node))
    if (!spellings.IsWhole(node, id) && MayFollow(after_quote_, id, node.depth)) Allow(id);
}

void QuoteConstraint::Accept(int32_t token) {
  tokens_.push_back(token);
  prepared_ = false;
  const auto quotes = [](Section section) {
    return section == Section::kAnswer || section == Section::kDraft;
  };
  if (const auto section = rules_.tokens.Starts(token)) {
    state_ = {.place = quotes(*section) ? Place::kText : Place::kOutside,
              .at = std::move(state_.at)};
    return;
  }
  if (rules_.tokens.Ends(token)) {
    state_ = {.at = std::move(state_.at)};
    return;
  }
  if (token == rules_.tokens.source_id) {
    if (state_.place == Place::kNumber) state_.source_id = true;
    return;
  }
  for (const char byte : quotable_->spellings().Bytes(token)) {
    const bool allowed = Step(&state_, byte);
    CHECK(allowed, "token {} is not in the mask", token);
  }
  if (state_.place != Place::kQuote || state_.fresh || state_.closing > 0) return;
  const QuotableText& source = quotable_->source(state_.number);
  std::erase_if(state_.at, [&](uint32_t at) { return !source.MayStand(at - state_.length, at); });
}

void QuoteConstraint::Rollback(int64_t n) {
  CHECK(n >= 0 && n <= std::ssize(tokens_));
  std::vector<int32_t> kept = std::move(tokens_);
  kept.resize(kept.size() - static_cast<size_t>(n));
  tokens_.clear();
  prepared_ = false;
  state_ = {.place = rules_.in_answer ? Place::kText : Place::kOutside, .at = std::move(state_.at)};
  state_.at.clear();
  for (const int32_t token : kept) Accept(token);
}

}  // namespace merope
