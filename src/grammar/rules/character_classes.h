// The characters of \d, \w and \s in regular expressions, and the other cases of letters. Versions
// of Unicode and dialects of regular expressions differ about them. Therefore `it` holds the
// characters that are in the class everywhere, and `not_it` holds the characters that are nowhere
// in the class. Pure functions, called by regex.cc.
#pragma once

#include "grammar/rules/char_set.h"

namespace merope {

struct CharacterClass {
  CharSet it, not_it;
};

// name: d, w or s. ascii_only: `it` holds only the ASCII characters, and `not_it` does not change.
// ascii: the class is defined for ASCII alone, so `it` holds only ASCII characters and `not_it`
// holds all other characters.
const CharacterClass& NamedClass(char name, bool ascii_only, bool ascii);

// True for a letter or a number of Unicode. The names of groups consist of these.
bool IsWordCharacter(char32_t c);

// The ASCII letters of the set, in the other case.
CharSet OtherCases(const CharSet& set);
// All characters that may count as another case of a character in the set. The result may hold more
// characters.
CharSet AllCases(const CharSet& set);

}  // namespace merope
