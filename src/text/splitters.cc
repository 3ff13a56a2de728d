#include "text/splitters.h"

#include <array>

#include "base/utf8.h"
#include "text/unicode.h"

namespace merope {
namespace {

enum class Kind : uint8_t { kLetter, kNumber, kSpace, kOther };

Kind KindOf(char32_t c) {
  if (unicode::IsLetter(c)) return Kind::kLetter;
  if (unicode::IsNumber(c)) return Kind::kNumber;
  return unicode::IsWhiteSpace(c) ? Kind::kSpace : Kind::kOther;
}

const std::array<Kind, 128> kAsciiKinds = [] {
  std::array<Kind, 128> kinds;
  for (char32_t c = 0; c < 128; ++c) kinds[c] = KindOf(c);
  return kinds;
}();

// Returns the kind of the character at *at and moves *at past the character.
Kind NextKind(std::string_view text, size_t* at) {
  const auto lead = static_cast<unsigned char>(text[*at]);
  if (lead < 0x80) {
    ++*at;
    return kAsciiKinds[lead];
  }
  return KindOf(utf8::Next(text, at));
}

// Returns the end of the run of characters of this kind that starts at from. The run has at most
// max characters.
size_t RunEnd(std::string_view text, size_t from, Kind kind, size_t max = SIZE_MAX) {
  size_t end = from;
  for (size_t n = 0; n < max && end < text.size(); ++n) {
    size_t next = end;
    if (NextKind(text, &next) != kind) break;
    end = next;
  }
  return end;
}

bool IsNewline(char c) { return c == '\r' || c == '\n'; }

// Returns the end of the contraction that starts with the apostrophe at text[at], or at if there is
// no contraction.
size_t ContractionEnd(std::string_view text, size_t at, bool any_case, bool long_s) {
  const auto letter = [&](size_t i) {
    if (at + i >= text.size()) return '\0';
    const char c = text[at + i];
    return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  };
  switch (letter(1)) {
    case 's':
    case 't':
    case 'm':
    case 'd':
      return at + 2;
    case 'r':
    case 'v':
      return letter(2) == 'e' ? at + 3 : at;
    case 'l':
      return letter(2) == 'l' ? at + 3 : at;
    default:
      // U+017F (ſ) folds to s.
      return any_case && long_s && text.substr(at + 1).starts_with("\xC5\xBF") ? at + 3 : at;
  }
}

// Returns the end of the match for the white space at text[at]: the alternatives \s+(?!\S)|\s+. At
// the end of the text, the match is the whole run of white space. Otherwise the match leaves out
// the last character of the run, but has at least one character.
size_t SpaceEnd(std::string_view text, size_t at) {
  const size_t end = RunEnd(text, at, Kind::kSpace);
  if (end == text.size()) return end;
  size_t last = end;
  utf8::Previous(text, &last);
  return last > at ? last : end;
}

// Returns the end of the match for the white space at text[at]: \s*[\r\n]+|\s+(?!\S)|\s+. If the
// run of white space has a newline, the match ends after the last newline. Otherwise the match is
// that of SpaceEnd.
size_t SpaceOrNewlinesEnd(std::string_view text, size_t at) {
  for (size_t end = RunEnd(text, at, Kind::kSpace); end > at; --end) {
    if (IsNewline(text[end - 1])) return end;
  }
  return SpaceEnd(text, at);
}

size_t Gpt2End(std::string_view text, size_t at) {
  if (text[at] == '\'') {
    if (const size_t end = ContractionEnd(text, at, false, false); end > at) return end;
  }
  const size_t from = text[at] == ' ' ? at + 1 : at;
  if (from < text.size()) {
    size_t next = from;
    const Kind kind = NextKind(text, &next);
    if (kind != Kind::kSpace) return RunEnd(text, next, kind);
  }
  return SpaceEnd(text, at);
}

size_t Llama3End(std::string_view text, size_t at, const Llama3Split& split) {
  if (text[at] == '\'') {
    if (const size_t end = ContractionEnd(text, at, true, split.long_s); end > at) return end;
  }
  size_t next = at;
  const Kind kind = NextKind(text, &next);
  if (kind == Kind::kLetter) return RunEnd(text, next, Kind::kLetter);
  if (kind == Kind::kNumber) return RunEnd(text, at, Kind::kNumber, split.max_digits);
  if (!IsNewline(text[at])) {
    if (const size_t end = RunEnd(text, next, Kind::kLetter); end > next) return end;
  }
  const size_t from = text[at] == ' ' ? at + 1 : at;
  if (size_t end = RunEnd(text, from, Kind::kOther); end > from) {
    while (end < text.size() && IsNewline(text[end])) ++end;
    return end;
  }
  return SpaceOrNewlinesEnd(text, at);
}

// Whether a character may be in the capital part of a cased word, and in the small part.
struct WordCase {
  bool capital, small;
};

WordCase CaseOf(char32_t c, bool ascii_case) {
  const unicode::Category category = unicode::CategoryOf(c);
  if (ascii_case) {
    const bool letter = category <= unicode::kLo;
    return {letter && !(c >= 'a' && c <= 'z'), letter && !(c >= 'A' && c <= 'Z')};
  }
  if (category > unicode::kMe) return {false, false};
  return {category != unicode::kLl, category != unicode::kLu && category != unicode::kLt};
}

// Returns the end of the match of capitals* small+ at `at`, or at if there is no match.
size_t SmallWordEnd(std::string_view text, size_t at, bool ascii_case) {
  size_t end = at, last_both = at;  // last_both: after the last character that may be in both parts
  WordCase next_case{};
  while (end < text.size()) {
    size_t next = end;
    next_case = CaseOf(utf8::Next(text, &next), ascii_case);
    if (!next_case.capital) break;
    end = next;
    if (next_case.small) last_both = next;
  }
  if (end == text.size() || !next_case.small) return last_both;
  while (end < text.size()) {
    size_t next = end;
    if (!CaseOf(utf8::Next(text, &next), ascii_case).small) break;
    end = next;
  }
  return end;
}

size_t CapitalsEnd(std::string_view text, size_t at, bool ascii_case) {
  while (at < text.size()) {
    size_t next = at;
    if (!CaseOf(utf8::Next(text, &next), ascii_case).capital) break;
    at = next;
  }
  return at;
}

size_t CasedEnd(std::string_view text, size_t at, const CasedSplit& split) {
  size_t next = at;
  const Kind kind = NextKind(text, &next);
  const bool may_lead = !IsNewline(text[at]) && kind != Kind::kLetter && kind != Kind::kNumber;
  for (const auto word_end : {SmallWordEnd, CapitalsEnd}) {
    for (const size_t begin : {next, at}) {
      if (begin == next && !may_lead) continue;
      const size_t end = word_end(text, begin, split.ascii_case);
      if (end == begin) continue;
      if (!split.contractions || end == text.size() || text[end] != '\'') return end;
      return ContractionEnd(text, end, /*any_case=*/true, split.long_s);
    }
  }
  if (kind == Kind::kNumber) return RunEnd(text, at, Kind::kNumber, split.max_digits);
  const size_t from = text[at] == ' ' ? at + 1 : at;
  if (size_t end = RunEnd(text, from, Kind::kOther); end > from) {
    while (end < text.size() && (IsNewline(text[end]) || text[end] == '/')) ++end;
    return end;
  }
  return SpaceOrNewlinesEnd(text, at);
}

template <class End>
Matcher EverywhereMatcher(End end_of) {
  return [end_of](std::string_view text, std::vector<TextRange>* matches) -> Status {
    for (size_t at = 0; at < text.size();) {
      const size_t end = end_of(text, at);
      matches->push_back({at, end});
      at = end;
    }
    return {};
  };
}

}  // namespace

Matcher Gpt2Splitter() { return EverywhereMatcher(Gpt2End); }

Matcher Llama3Splitter(Llama3Split split) {
  return EverywhereMatcher(
      [split](std::string_view text, size_t at) { return Llama3End(text, at, split); });
}

Matcher CasedSplitter(CasedSplit split) {
  return EverywhereMatcher(
      [split](std::string_view text, size_t at) { return CasedEnd(text, at, split); });
}

Matcher DigitRuns(bool (*is_digit)(char32_t), size_t length, bool whole_only) {
  return [=](std::string_view text, std::vector<TextRange>* matches) -> Status {
    size_t begin = 0, count = 0;  // the start and the number of the digits directly before at
    for (size_t at = 0; at < text.size();) {
      const size_t before = at;
      const bool digit = is_digit(utf8::Next(text, &at));
      if (digit && count == 0) begin = before;
      if (digit) ++count;
      if (count > 0 && (!digit || count == length || at == text.size())) {
        if (count == length || !whole_only) matches->push_back({begin, digit ? at : before});
        count = 0;
      }
    }
    return {};
  };
}

Matcher TrailingTriples() {
  return [](std::string_view text, std::vector<TextRange>* matches) -> Status {
    const auto number_at = [text](size_t* at) {
      return *at < text.size() && unicode::IsNumber(utf8::Next(text, at));
    };
    size_t begin = 0;
    for (size_t at = 0; at < text.size();) {
      size_t left = 0;  // the remaining number characters of the run
      for (size_t end = at; number_at(&end);) ++left;
      if (left == 0) utf8::Next(text, &at);
      for (; left > 0; --left) {
        utf8::Next(text, &at);
        if (left % 3 != 1) continue;
        matches->push_back({begin, at});
        begin = at;
      }
    }
    return {};
  };
}

std::optional<Matcher> KnownSplitter(std::string_view regex) {
  if (regex == R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)") {
    return Gpt2Splitter();
  }
  if (regex == R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|)"
               R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|)"
               R"(\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)") {
    return CasedSplitter({.max_digits = 1});
  }
  if (regex == R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
               R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
               R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
               R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
               R"(\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)") {
    return CasedSplitter({.max_digits = 3, .contractions = true});
  }
  constexpr std::string_view kHead = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|)";
  constexpr std::string_view kTail = R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  if (!regex.starts_with(kHead) || !regex.ends_with(kTail)) return std::nullopt;
  const std::string_view digits =
      regex.substr(kHead.size(), regex.size() - kHead.size() - kTail.size());
  if (digits == R"(\p{N}{1,3})") return Llama3Splitter({.max_digits = 3});
  if (digits == R"(\p{N})") return Llama3Splitter({.max_digits = 1});
  if (digits == R"(\p{N}+)") return Llama3Splitter({.max_digits = SIZE_MAX});
  return std::nullopt;
}

}  // namespace merope
