#include "grammar/rules/character_classes.h"

#include <algorithm>
#include <vector>

#include "text/unicode.h"

namespace merope {
namespace {

const CharSet& Ascii() {
  static const CharSet ascii({{0, 0x7F}});
  return ascii;
}

template <class Predicate>
CharSet Where(char32_t first, char32_t last, Predicate holds) {
  std::vector<CharSet::Range> ranges;
  for (char32_t c = first; c <= last; ++c) {
    if (!holds(c)) continue;
    if (!ranges.empty() && ranges.back().last + 1 == c) {
      ranges.back().last = c;
    } else {
      ranges.push_back({c, c});
    }
  }
  return CharSet(std::move(ranges));
}

CharacterClass DigitClass() {
  const CharSet digits({{'0', '9'}});
  const auto is_number = [](char32_t c) { return unicode::IsNumber(c); };
  // Unicode has no numbers above U+2FFFF.
  return {digits, CharSet::All() - Where(0, 0x2FFFF, is_number)};
}

CharacterClass WordClass() {
  // Ranges of letters and digits without gaps. More ranges would make automata slower for little
  // gain.
  const CharSet word(
      {{'0', '9'},       {'A', 'Z'},       {'_', '_'},       {'a', 'z'},       {0xAA, 0xAA},
       {0xB5, 0xB5},     {0xBA, 0xBA},     {0xC0, 0xD6},     {0xD8, 0xF6},     {0xF8, 0x2C1},
       {0x370, 0x373},   {0x388, 0x38A},   {0x38E, 0x3A1},   {0x3A3, 0x3F5},   {0x3F7, 0x481},
       {0x48A, 0x52F},   {0x531, 0x556},   {0x561, 0x587},   {0x5D0, 0x5EA},   {0x620, 0x64A},
       {0x660, 0x669},   {0x671, 0x6D3},   {0x904, 0x939},   {0xE01, 0xE30},   {0x1E00, 0x1F15},
       {0x3041, 0x3096}, {0x30A1, 0x30FA}, {0x3400, 0x4DB5}, {0x4E00, 0x9FEF}, {0xAC00, 0xD7A3}});
  const auto is_no_word = [](char32_t c) {
    if (c < 0x80) return !IsWordCharacter(c) && c != '_';
    return unicode::IsIn(c, unicode::kPd, unicode::kPo) ||
           unicode::IsIn(c, unicode::kSm, unicode::kZp);
  };
  // Most punctuation and symbols lie in these ranges.
  return {word, Where(0, 0xBF, is_no_word) | Where(0x2000, 0x27BF, is_no_word) |
                    Where(0x3000, 0x303F, is_no_word)};
}

CharacterClass SpaceClass() {
  const CharSet space({{'\t', '\r'},
                       {' ', ' '},
                       {0xA0, 0xA0},
                       {0x1680, 0x1680},
                       {0x2000, 0x200A},
                       {0x2028, 0x2029},
                       {0x202F, 0x202F},
                       {0x205F, 0x205F},
                       {0x3000, 0x3000}});
  const CharSet sometimes({{0x1C, 0x1F}, {0x85, 0x85}, {0x180E, 0x180E}, {0xFEFF, 0xFEFF}});
  return {space, CharSet::All() - (space | sometimes)};
}

struct Versions {
  explicit Versions(CharacterClass any)
      : all(any),
        ascii_only{any.it & Ascii(), any.not_it},
        ascii{any.it & Ascii(), CharSet::All() - (any.it & Ascii())} {}
  CharacterClass all, ascii_only, ascii;
};

}  // namespace

const CharacterClass& NamedClass(char name, bool ascii_only, bool ascii) {
  static const Versions digits(DigitClass()), words(WordClass()), spaces(SpaceClass());
  const Versions& versions = name == 'd' ? digits : name == 'w' ? words : spaces;
  return ascii ? versions.ascii : ascii_only ? versions.ascii_only : versions.all;
}

bool IsWordCharacter(char32_t c) { return unicode::IsLetter(c) || unicode::IsNumber(c); }

CharSet OtherCases(const CharSet& set) {
  std::vector<CharSet::Range> ranges;
  for (const CharSet::Range& range : set.ranges()) {
    const char32_t first_lower = std::max<char32_t>(range.first, 'a');
    const char32_t last_lower = std::min<char32_t>(range.last, 'z');
    if (first_lower <= last_lower) ranges.push_back({first_lower - 32, last_lower - 32});
    const char32_t first_upper = std::max<char32_t>(range.first, 'A');
    const char32_t last_upper = std::min<char32_t>(range.last, 'Z');
    if (first_upper <= last_upper) ranges.push_back({first_upper + 32, last_upper + 32});
  }
  return CharSet(std::move(ranges));
}

CharSet AllCases(const CharSet& set) {
  // A letter outside ASCII may be another case of any other letter outside ASCII. Four letters
  // outside ASCII may be another case of i, s or k.
  static const CharSet of_ascii({{0x130, 0x131}, {0x17F, 0x17F}, {0x212A, 0x212A}});
  const bool is_ascii = Ascii().ContainsAll(set);
  return OtherCases(set) | (is_ascii ? of_ascii : CharSet::All() - Ascii());
}

}  // namespace merope
