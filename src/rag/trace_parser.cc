#include "rag/trace_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/utf8.h"
#include "rag/sentences.h"

namespace merope {
namespace {

constexpr std::string_view kReference = "<ref", kEndReference = "</ref>";
constexpr std::string_view kUnsupported = "[unsupported]";
constexpr size_t kMostHeader = 64;          // most bytes between "<ref" and ">"
constexpr size_t kMostSupportedText = 150;  // characters, as in Pleias' own library

bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

std::string_view Stripped(std::string_view text) {
  while (!text.empty() && IsSpace(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsSpace(text.back())) text.remove_suffix(1);
  return text;
}

// The number of a header ` name="N"`; 0 for any other header.
int64_t SourceNumber(std::string_view header) {
  constexpr std::string_view kSourceName = "name=\"";
  header = Stripped(header);
  if (!header.starts_with(kSourceName) || !header.ends_with('"')) return 0;
  header.remove_prefix(kSourceName.size());
  header.remove_suffix(header.empty() ? 0 : 1);
  int64_t number = 0;
  const auto [end, error] = std::from_chars(header.data(), header.data() + header.size(), number);
  return error == std::errc() && end == header.data() + header.size() && number > 0 ? number : 0;
}

// The sentence that ends at the end of the text; at most the last kMostSupportedText characters.
std::string SupportedText(std::string_view text) {
  text = Stripped(text);
  size_t begin = 0;
  for (size_t end = SentenceEnd(text, 0); end < text.size(); end = SentenceEnd(text, end))
    begin = end;
  std::string_view sentence = Stripped(text.substr(begin));
  size_t from = sentence.size(), characters = 0;
  while (from > 0 && characters < kMostSupportedText) {
    utf8::Previous(sentence, &from);
    ++characters;
  }
  return std::string(Stripped(sentence.substr(from)));
}

bool StartsWithWord(std::string_view text, std::string_view word) {
  text = Stripped(text);
  return text.size() >= word.size() &&
         std::equal(word.begin(), word.end(), text.begin(),
                    [](char a, char b) { return a == (b >= 'A' && b <= 'Z' ? b + 32 : b); });
}

// A token in the text, if there is one at its start. kMaybe: more text may complete one.
enum class TokenKind : uint8_t { kNone, kMaybe, kOpen, kClose, kSourceId };
struct TraceToken {
  TokenKind kind = TokenKind::kNone;
  size_t bytes = 0;
  Section section = {};
};

TraceToken TokenAt(std::string_view text) {
  TraceToken found;
  const auto consider = [&](std::string_view spelled, TokenKind kind, Section section) {
    if (text.starts_with(spelled))
      found = {kind, spelled.size(), section};
    else if (spelled.starts_with(text))
      found.kind = TokenKind::kMaybe;
    return found.kind != TokenKind::kNone;
  };
  if (!text.starts_with("<|") && text != "<") return found;
  if (consider(kSourceIdToken, TokenKind::kSourceId, {})) return found;
  for (int64_t i = 0; i < kSections; ++i) {
    const auto section = static_cast<Section>(i);
    if (consider(SectionToken(section, true), TokenKind::kOpen, section) ||
        consider(SectionToken(section, false), TokenKind::kClose, section))
      break;
  }
  return found;
}

}  // namespace

TraceParser::TraceParser(const QuotedSources& sources, const TraceOptions& options)
    : sources_(sources), options_(options) {
  if (options_.open) OpenSection(*options_.open);
  opened_by_token_ = false;
}

void TraceParser::Open(Section section) {
  EndCharacter();
  OpenSection(section);
}

void TraceParser::Close(Section) {
  EndCharacter();
  if (open_) EndSection(false);
}

void TraceParser::SourceId() {
  EndCharacter();
  AddSourceId();
}

void TraceParser::Text(std::string_view piece) {
  character_ += piece;
  std::string valid;
  utf8::DrainLossy(&character_, false, &valid);
  Valid(valid);
}

void TraceParser::EndCharacter() {
  std::string rest;
  utf8::DrainLossy(&character_, true, &rest);
  Valid(rest);
}

void TraceParser::Valid(std::string_view piece) {
  if (!options_.tokens_in_text) return Plain(piece);
  token_ += piece;
  std::string_view rest = token_;
  while (!rest.empty()) {
    const size_t at = std::min(rest.find('<'), rest.size());
    Plain(rest.substr(0, at));
    rest.remove_prefix(at);
    if (rest.empty()) break;
    const TraceToken token = TokenAt(rest);
    if (token.kind == TokenKind::kMaybe) break;
    if (token.kind == TokenKind::kNone) Plain(rest.substr(0, 1));
    if (token.kind == TokenKind::kOpen) OpenSection(token.section);
    if (token.kind == TokenKind::kClose && open_) EndSection(false);
    if (token.kind == TokenKind::kSourceId) AddSourceId();
    rest.remove_prefix(std::max<size_t>(token.bytes, 1));
  }
  token_ = std::string(rest);
}

void TraceParser::OpenSection(Section section) {
  if (open_) EndSection(false);
  open_ = section;
  opened_by_token_ = true;
  section_has_text_ = false;
  events_.push_back({.kind = TraceEvent::Kind::kOpen, .section = section});
}

void TraceParser::AddSourceId() {
  if (!open_) return;
  if (*open_ != Section::kAnswer || !options_.references) return Emit(kSourceIdToken);
  answer_.answer += kSourceIdToken;
  if (place_ == Place::kQuote) quote_ += kSourceIdToken;
}

void TraceParser::Plain(std::string_view text) {
  if (!open_ || text.empty()) return;
  if (*open_ != Section::kAnswer) return Emit(text);
  answer_.answer += text;
  if (!options_.references) return Emit(text);
  AnswerText(text);
}

void TraceParser::AnswerText(std::string_view piece) {
  const std::string joined = std::exchange(held_, {}) + std::string(piece);
  std::string_view text = joined;
  const auto take = [&text](size_t n) {
    const std::string_view taken = text.substr(0, n);
    text.remove_prefix(n);
    return taken;
  };
  while (!text.empty()) {
    if (place_ == Place::kHeader) {
      const size_t room = kMostHeader - header_.size();
      const size_t end = text.substr(0, room + 1).find('>');
      header_ += take(std::min({end, room, text.size()}));
      if (end != text.npos) take(1);
      if (end != text.npos || header_.size() == kMostHeader) place_ = Place::kQuote;
      continue;
    }
    // The next "<ref" or "</ref>". A "<ref" needs the character after it: "<reference" is text.
    const size_t at = text.find('<');
    const std::string_view before = take(std::min(at, text.size()));
    if (place_ == Place::kQuote) {
      quote_ += before;
    } else if (!before.empty()) {
      bare_ += before;
      Emit(before);
    }
    if (text.empty()) break;
    const bool incomplete = kEndReference.starts_with(text) || kReference.starts_with(text);
    if (incomplete && text != kEndReference) {
      held_ = std::string(text);
      break;
    }
    if (text.starts_with(kEndReference)) {
      take(kEndReference.size());
      if (place_ == Place::kQuote) EndReference(true);
    } else if (text.starts_with(kReference) && (IsSpace(text[4]) || text[4] == '>')) {
      take(kReference.size());
      if (place_ == Place::kQuote) EndReference(false);
      place_ = Place::kHeader;
      header_.clear();
      quote_.clear();
    } else if (place_ == Place::kQuote) {
      quote_ += take(1);
    } else {
      bare_ += text.front();
      Emit(take(1));
    }
  }
}

// White space at the ends of a section is not part of its text.
void TraceParser::Emit(std::string_view text) {
  const bool is_answer = *open_ == Section::kAnswer;
  std::string& target = is_answer ? answer_.clean_answer : answer_.section(*open_);
  std::string more;
  if (!section_has_text_) {
    while (!text.empty() && IsSpace(text.front())) text.remove_prefix(1);
    if (text.empty()) return;
    if (!target.empty()) more = "\n";  // the section was there before
    section_has_text_ = true;
    spaces_.clear();
  }
  size_t end = text.size();
  while (end > 0 && IsSpace(text[end - 1])) --end;
  if (end > 0) {
    more += std::exchange(spaces_, {});
    more += text.substr(0, end);
    target += more;
    events_.push_back({.section = *open_, .text = std::move(more)});
  }
  spaces_ += text.substr(end);
}

void TraceParser::EndReference(bool whole) {
  Citation citation = {.cited_source = SourceNumber(header_),
                       .quote = std::string(Stripped(quote_)),
                       .supported_text = SupportedText(bare_)};
  citation.grounding = sources_.Check(citation.cited_source, citation.quote);
  if (!whole) citation.grounding = {.verdict = QuoteVerdict::kCut};
  reference_places_.push_back(bare_.size());
  place_ = Place::kPlain;
  std::vector<Citation>& kind = citation.grounding.shown ? answer_.citations : answer_.unsupported;
  if (citation.grounding.shown) {
    citation.number = std::ssize(answer_.citations) + 1;
    citation.cited_text = sources_.Text(citation.grounding);
  }
  kind.push_back(citation);
  const int64_t number = citation.number;
  events_.push_back({.kind = TraceEvent::Kind::kCitation, .citation = std::move(citation)});
  Emit(number > 0 ? fmt::format("[{}]", number) : std::string(kUnsupported));
}

void TraceParser::EndSection(bool cut) {
  if (*open_ == Section::kAnswer && options_.references) {
    const std::string held = std::exchange(held_, {});
    if (place_ == Place::kPlain && !held.empty()) {
      bare_ += held;
      Emit(held);
    }
    if (place_ != Place::kPlain) {
      if (place_ == Place::kQuote) quote_ += held;
      EndReference(false);
    }
  }
  events_.push_back({.kind = TraceEvent::Kind::kClose, .section = *open_, .cut = cut});
  open_.reset();
}

std::vector<TraceEvent> TraceParser::Take() { return std::exchange(events_, {}); }

void TraceParser::Finish(bool cut) {
  EndCharacter();
  if (!token_.empty()) Plain(std::exchange(token_, {}));
  const bool inside = open_.has_value();
  if (inside) EndSection(cut || opened_by_token_);
  answer_.answer = std::string(Stripped(answer_.answer));
  if (options_.references) FindSentencesWithoutReference();
  SettleState(cut || (inside && opened_by_token_));
}

void TraceParser::FindSentencesWithoutReference() {
  size_t place = 0;
  for (size_t begin = 0; begin < bare_.size();) {
    const size_t end = SentenceEnd(bare_, begin);
    // A reference directly after the sentence belongs to it.
    while (place < reference_places_.size() && reference_places_[place] <= begin) ++place;
    size_t after = end;
    while (after < bare_.size() && IsSpace(bare_[after])) ++after;
    const bool has = place < reference_places_.size() && reference_places_[place] <= after;
    const std::string_view sentence = Stripped(std::string_view(bare_).substr(begin, end - begin));
    if (!has && !sentence.empty()) answer_.without_reference.emplace_back(sentence);
    begin = after;
  }
}

void TraceParser::SettleState(bool cut) {
  const auto state = [&] {
    const std::string &query = answer_.query_report, &source = answer_.source_report;
    if (cut) return AnswerState::kTruncated;
    if (StartsWithWord(query, "refus") || StartsWithWord(query, "unclear"))
      return AnswerState::kRefused;
    if (StartsWithWord(query, "reformul")) return AnswerState::kReformulated;
    if (StartsWithWord(source, "infeasible") || StartsWithWord(answer_.status, "unanswerable"))
      return AnswerState::kInfeasible;
    if (!answer_.citations.empty()) return AnswerState::kAnswered;
    if (!answer_.unsupported.empty()) return AnswerState::kUnsupported;
    if (StartsWithWord(query, "trivial")) return AnswerState::kTrivial;
    return AnswerState::kNoCitation;
  };
  answer_.state = state();
}

CitedAnswer ParseTrace(std::string_view text, const QuotedSources& sources,
                       std::optional<Section> open, bool cut) {
  TraceParser parser(sources, {.open = open, .tokens_in_text = true});
  parser.Text(text);
  parser.Finish(cut);
  return parser.answer();
}

}  // namespace merope
