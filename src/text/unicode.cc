#include "text/unicode.h"

#include <algorithm>
#include <vector>

#include "base/utf8.h"

namespace merope::unicode {
namespace {

constexpr char32_t kHangulBase = 0xAC00, kLeadBase = 0x1100, kVowelBase = 0x1161,
                   kTailBase = 0x11A7;
constexpr char32_t kLeads = 19, kVowels = 21, kTails = 28;

uint8_t CombiningClass(char32_t c) {
  const auto* end = kCombiningRanges + kCombiningRangesSize;
  const auto* range = std::lower_bound(kCombiningRanges, end, c,
                                       [](const auto& r, char32_t code) { return r.last < code; });
  return range != end && c >= range->first ? range->value : 0;
}

bool IsIn(char32_t c, const CodeRange* ranges, size_t count) {
  const auto* range = std::lower_bound(ranges, ranges + count, c,
                                       [](const auto& r, char32_t code) { return r.last < code; });
  return range != ranges + count && c >= range->first;
}

void Decompose(char32_t c, bool compatible, std::u32string* out) {
  if (c < 0xA0) {
    out->push_back(c);
    return;
  }
  if (c >= kHangulBase && c < kHangulBase + kLeads * kVowels * kTails) {
    const char32_t index = c - kHangulBase;
    out->push_back(kLeadBase + index / (kVowels * kTails));
    out->push_back(kVowelBase + index / kTails % kVowels);
    if (index % kTails != 0) out->push_back(kTailBase + index % kTails);
    return;
  }
  const auto* end = kDecompositions + kDecompositionsSize;
  const auto* entry = std::lower_bound(kDecompositions, end, c,
                                       [](const auto& d, char32_t code) { return d.code < code; });
  if (entry == end || entry->code != c) {
    out->push_back(c);
  } else if (compatible) {
    out->append(kDecompositionPool + entry->compatible_first, entry->compatible_length);
  } else {
    out->append(kDecompositionPool + entry->canonical_first, entry->canonical_length);
  }
}

// Returns 0 if a and b do not compose.
char32_t Compose(char32_t a, char32_t b) {
  if (a >= kLeadBase && a < kLeadBase + kLeads && b >= kVowelBase && b < kVowelBase + kVowels) {
    return kHangulBase + ((a - kLeadBase) * kVowels + (b - kVowelBase)) * kTails;
  }
  if (a >= kHangulBase && a < kHangulBase + kLeads * kVowels * kTails &&
      (a - kHangulBase) % kTails == 0 && b > kTailBase && b < kTailBase + kTails) {
    return a + (b - kTailBase);
  }
  const auto* end = kCompositions + kCompositionsSize;
  const auto* entry = std::lower_bound(
      kCompositions, end, std::pair(a, b),
      [](const auto& c, const auto& key) { return std::pair(c.first, c.second) < key; });
  return entry != end && entry->first == a && entry->second == b ? entry->composed : 0;
}

// Sorts each run of non-starters by combining class. classes: the combining class of each character
// of text; Reorder moves the classes with the characters.
void Reorder(std::u32string* text, std::vector<uint8_t>* classes) {
  for (size_t at = 0; at < text->size();) {
    if ((*classes)[at] == 0) {
      ++at;
      continue;
    }
    size_t end = at;
    while (end < text->size() && (*classes)[end] != 0) ++end;
    std::vector<std::pair<uint8_t, char32_t>> run;
    for (size_t i = at; i < end; ++i) run.emplace_back((*classes)[i], (*text)[i]);
    std::ranges::stable_sort(run, {}, &std::pair<uint8_t, char32_t>::first);
    for (size_t i = at; i < end; ++i) {
      (*classes)[i] = run[i - at].first;
      (*text)[i] = run[i - at].second;
    }
    at = end;
  }
}

void ComposeAll(std::u32string* text, const std::vector<uint8_t>& classes) {
  size_t kept = 0;
  size_t starter = text->size();  // position of the last starter in the output; at first none
  int last_class = -1;            // class of the last character after the starter; -1: none
  for (size_t at = 0; at < text->size(); ++at) {
    const char32_t c = (*text)[at];
    const int cls = classes[at];
    if (starter < kept && last_class < cls) {
      if (const char32_t composed = Compose((*text)[starter], c); composed != 0) {
        (*text)[starter] = composed;
        continue;
      }
    }
    if (cls == 0) {
      starter = kept;
      last_class = -1;
    } else {
      last_class = cls;
    }
    (*text)[kept++] = c;
  }
  text->resize(kept);
}

}  // namespace

bool IsOldMark(char32_t c) { return IsIn(c, kMarks9, kMarks9Size); }
bool IsOldPunctuation(char32_t c) { return IsIn(c, kPunctuation8, kPunctuation8Size); }

bool IsWord(char32_t c) {
  const Category category = CategoryOf(c);
  if (category <= kNl || category == kPc) return true;
  // Joiners, and the Other_Alphabetic symbols: the circled and squared Latin letters.
  return c == 0x200C || c == 0x200D || (c >= 0x24B6 && c <= 0x24E9) ||
         (c >= 0x1F130 && c <= 0x1F149) || (c >= 0x1F150 && c <= 0x1F169) ||
         (c >= 0x1F170 && c <= 0x1F189);
}

std::string Normalize(std::string_view text, Form form) {
  // ASCII text already is in every form.
  if (std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; })) {
    return std::string(text);
  }
  const bool compatible = form == Form::kNfkc || form == Form::kNfkd;
  std::u32string decomposed;
  decomposed.reserve(text.size());
  for (size_t at = 0; at < text.size();) Decompose(utf8::Next(text, &at), compatible, &decomposed);
  std::vector<uint8_t> classes(decomposed.size());
  std::ranges::transform(decomposed, classes.begin(), CombiningClass);
  Reorder(&decomposed, &classes);
  if (form == Form::kNfc || form == Form::kNfkc) ComposeAll(&decomposed, classes);
  std::string out;
  out.reserve(text.size());
  for (const char32_t c : decomposed) utf8::Append(c, &out);
  return out;
}

std::string LowerCase(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const char32_t c = utf8::Next(text, &at);
    if (c < 0x80) {
      out.push_back(static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c));
    } else if (c == 0x130) {
      out.append("i\xCC\x87");
    } else {
      const auto* end = kLowerCases + kLowerCasesSize;
      const auto* entry = std::lower_bound(
          kLowerCases, end, c, [](const auto& l, char32_t code) { return l.code < code; });
      utf8::Append(entry != end && entry->code == c ? entry->lower : c, &out);
    }
  }
  return out;
}

}  // namespace merope::unicode
