#include "rag/grounding.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "base/utf8.h"
#include "text/unicode.h"

namespace merope {
namespace {

// Quotation marks, as Unicode's property Quotation_Mark lists them, and apostrophes.
bool IsQuotationMark(char32_t c) {
  switch (c) {
    case '"':
    case '\'':
    case '`':
    case 0xAB:
    case 0xB4:
    case 0xBB:
    case 0x2BC:
    case 0x2039:
    case 0x203A:
    case 0x2032:
    case 0x2033:
    case 0x2E42:
    case 0xFF02:
    case 0xFF07:
    case 0xFF62:
    case 0xFF63:
      return true;
    default:
      return (c >= 0x2018 && c <= 0x201F) || (c >= 0x300C && c <= 0x300F) ||
             (c >= 0x301D && c <= 0x301F);
  }
}

// The dashes of Unicode's category Pd and the minus sign.
bool IsDash(char32_t c) { return c == 0x2212 || unicode::CategoryOf(c) == unicode::kPd; }

constexpr char32_t kSoftHyphen = 0xAD, kFirstLigature = 0xFB00, kLastLigature = 0xFB06;

// Whether c may compose with the character before it: a mark, or a vowel or final of Hangul.
bool Extends(char32_t c) { return unicode::IsMark(c) || (c >= 0x1160 && c <= 0x11FF); }

constexpr std::string_view kEllipses[] = {"(…)", "(...)", "[…]", "[...]"};

// The pieces of a quote between its ellipses.
std::vector<std::string_view> Pieces(std::string_view quote) {
  std::vector<std::string_view> pieces;
  size_t begin = 0;
  for (size_t at = 0; at < quote.size();) {
    const auto* ellipsis = std::ranges::find_if(
        kEllipses, [&](std::string_view one) { return quote.substr(at).starts_with(one); });
    if (ellipsis == std::end(kEllipses)) {
      ++at;
      continue;
    }
    pieces.push_back(Trim(quote.substr(begin, at - begin)));
    begin = at += ellipsis->size();
  }
  pieces.push_back(Trim(quote.substr(begin)));
  std::erase_if(pieces, [](std::string_view piece) { return piece.empty(); });
  return pieces;
}

// Finds the first occurrence of `part` in `text` from the byte `from` on that `accepts` takes, with
// the algorithm of Knuth, Morris and Pratt: the time is linear whatever the texts are.
template <class Accepts>
std::optional<size_t> FirstOccurrence(std::string_view text, std::string_view part, size_t from,
                                      const Accepts& accepts) {
  if (part.empty()) return std::nullopt;
  std::vector<uint32_t> border(part.size() + 1);  // the longest proper border of each prefix
  for (size_t i = 1, k = 0; i < part.size(); ++i) {
    while (k > 0 && part[i] != part[k]) k = border[k];
    if (part[i] == part[k]) ++k;
    border[i + 1] = static_cast<uint32_t>(k);
  }
  for (size_t i = from, k = 0; i < text.size(); ++i) {
    while (k > 0 && (k == part.size() || text[i] != part[k])) k = border[k];
    if (text[i] == part[k]) ++k;
    if (k == part.size() && accepts(i + 1 - k)) return i + 1 - k;
  }
  return std::nullopt;
}

}  // namespace

std::string_view QuoteVerdictName(QuoteVerdict verdict) {
  constexpr std::string_view kNames[] = {"exact",  "equivalent", "stitched",  "other_source",
                                         "absent", "too_short",  "no_source", "cut"};
  return kNames[static_cast<size_t>(verdict)];
}

QuotedSources::QuotedSources(const std::vector<std::string>& sources) {
  for (const std::string& source : sources) {
    sources_.emplace_back(source);
    folded_.push_back(Fold(sources_.back().text()));
  }
}

// Quotation marks go, but an apostrophe between two letters stays: "don't" is not "dont". White
// space becomes one space. The other characters get the form NFC, together with the marks after
// them.
QuotedSources::Folded QuotedSources::Fold(std::string_view text) {
  Folded folded;
  const auto add = [&folded](std::string_view bytes, size_t begin, size_t end) {
    folded.text += bytes;
    folded.begins.insert(folded.begins.end(), bytes.size(), static_cast<uint32_t>(begin));
    folded.ends.insert(folded.ends.end(), bytes.size(), static_cast<uint32_t>(end));
  };
  bool after_letter = false;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t c = utf8::Next(text, &at);
    while (at < text.size()) {
      size_t next = at;
      if (!Extends(utf8::Next(text, &next))) break;
      at = next;
    }
    size_t next = at;
    const bool before_letter = at < text.size() && unicode::IsLetter(utf8::Next(text, &next));
    if (IsQuotationMark(c)) {
      if (after_letter && before_letter) add("'", begin, at);
    } else if (unicode::IsWhiteSpace(c)) {
      if (!folded.text.empty() && folded.text.back() != ' ') add(" ", begin, at);
    } else if (IsDash(c)) {
      add("-", begin, at);
    } else if (c >= kFirstLigature && c <= kLastLigature) {
      add(unicode::Normalize(text.substr(begin, at - begin), unicode::Form::kNfkc), begin, at);
    } else if (c != kSoftHyphen) {
      add(unicode::Normalize(text.substr(begin, at - begin), unicode::Form::kNfc), begin, at);
    }
    if (c != kSoftHyphen) after_letter = unicode::IsLetter(c);
  }
  while (folded.text.ends_with(' ')) {
    folded.text.pop_back();
    folded.begins.pop_back();
    folded.ends.pop_back();
  }
  return folded;
}

bool QuotedSources::Find(size_t source, std::string_view quote, size_t from, TextSpan* found,
                         bool* exact) const {
  const QuoteText& text = sources_[source];
  const auto fits = [&text, from](size_t begin, size_t end) {
    return begin >= from && text.StartsAt(begin) && text.EndsAt(end) &&
           text.IsLongEnough(begin, end);
  };
  if (const auto at = FirstOccurrence(text.text(), quote, from, [&](size_t begin) {
        return fits(begin, begin + quote.size());
      })) {
    *found = {*at, *at + quote.size()};
    *exact = true;
    return true;
  }
  const Folded& folded = folded_[source];
  const std::string part = Fold(quote).text;
  const auto begin_of = [&folded](size_t i) { return size_t{folded.begins[i]}; };
  const auto end_of = [&](size_t i) { return size_t{folded.ends[i + part.size() - 1]}; };
  const auto at = FirstOccurrence(folded.text, part, 0, [&](size_t i) {
    const size_t end = i + part.size();
    const bool whole = (i == 0 || folded.begins[i - 1] != folded.begins[i]) &&
                       (end == folded.text.size() || folded.begins[end] != folded.begins[end - 1]);
    return whole && fits(begin_of(i), end_of(i));
  });
  if (!at) return false;
  *found = {begin_of(*at), end_of(*at)};
  *exact = false;
  return true;
}

bool QuotedSources::FindStitched(size_t source, std::string_view quote,
                                 std::vector<TextSpan>* pieces) const {
  const std::vector<std::string_view> parts = Pieces(quote);
  pieces->clear();
  for (const std::string_view part : parts) {
    TextSpan found;
    bool exact = false;
    if (!Find(source, part, pieces->empty() ? 0 : pieces->back().end, &found, &exact)) return false;
    pieces->push_back(found);
  }
  return !parts.empty();
}

Grounding QuotedSources::Check(int64_t source, std::string_view raw_quote) const {
  std::string valid, bytes(raw_quote);
  utf8::DrainLossy(&bytes, true, &valid);
  const std::string_view quote = Trim(valid);
  const bool exists = source >= 1 && source <= std::ssize(sources_);
  TextSpan found;
  bool exact = false;
  if (exists) {
    const auto cited = static_cast<size_t>(source - 1);
    if (Find(cited, quote, 0, &found, &exact))
      return {exact ? QuoteVerdict::kExact : QuoteVerdict::kEquivalent, source, {found}, true};
    std::vector<TextSpan> pieces;
    if (FindStitched(cited, quote, &pieces)) {
      const bool one = pieces.size() == 1;  // the quote only begins or ends with an ellipsis
      return {one ? QuoteVerdict::kEquivalent : QuoteVerdict::kStitched, source, pieces, true};
    }
  }
  Grounding other = {.verdict = exists ? QuoteVerdict::kAbsent : QuoteVerdict::kNoSource};
  for (size_t i = 0; i < sources_.size(); ++i) {
    if (static_cast<int64_t>(i) + 1 == source || !Find(i, quote, 0, &found, &exact)) continue;
    if (other.source != 0 && !exact) continue;
    other = {.verdict = exists ? QuoteVerdict::kOtherSource : QuoteVerdict::kNoSource,
             .source = static_cast<int64_t>(i) + 1,
             .pieces = {found},
             .shown = exists && exact};
    if (exact) break;
  }
  if (other.source != 0 || !exists) return other;
  if (!QuoteText{std::string(quote)}.HasLength(0, quote.size()))
    other.verdict = QuoteVerdict::kTooShort;
  return other;
}

std::string QuotedSources::Text(const Grounding& grounding) const {
  if (grounding.source == 0) return {};
  const std::string& text = sources_[static_cast<size_t>(grounding.source - 1)].text();
  std::string quoted;
  for (const TextSpan& piece : grounding.pieces) {
    if (!quoted.empty()) quoted += " (…) ";
    quoted.append(text, piece.begin, piece.end - piece.begin);
  }
  return quoted;
}

}  // namespace merope
