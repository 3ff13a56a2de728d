// The characters that \d, \w and \s of regular expressions stand for, and the cases of letters.
// Versions of Unicode and dialects differ on them: it has what all agree to be in the class, not_it
// what all agree is not. Pure functions.
#pragma once

#include "engine/grammar/char_set.h"

namespace merope {

struct CharacterClass {
  CharSet it, not_it;
};

// name: d, w or s. ascii_only: it has characters of ASCII alone; ascii: so it is defined, and
// not_it has all others.
const CharacterClass& NamedClass(char name, bool ascii_only, bool ascii);

// A letter or a digit, for names.
bool IsWordCharacter(char32_t c);

// The same letters of ASCII in the other case.
CharSet OtherCases(const CharSet& set);
// All characters that might count as another case of one in the set, and more.
CharSet AllCases(const CharSet& set);

}  // namespace merope
