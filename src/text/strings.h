// String functions that behave like Python's str, mainly for chat templates. A character is a code
// point, and whitespace is Unicode whitespace. Strings are UTF-8. Each byte that is not valid UTF-8
// counts as one character. Pure functions, safe on any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace merope::strings {

// The number of bytes of the character that starts at `at`.
size_t CharacterBytes(std::string_view text, size_t at);
int64_t CountCharacters(std::string_view text);
// The byte offset of each character, followed by the size of text.
std::vector<size_t> CharacterOffsets(std::string_view text);
// The code point of one character, as CharacterBytes delimits it. For a byte that is not valid
// UTF-8, the value of the byte.
uint32_t CodePoint(std::string_view character);

// str.strip, lstrip and rstrip. Strips whitespace, or the given characters.
std::string_view Strip(std::string_view text, bool left, bool right,
                       std::optional<std::string_view> characters = std::nullopt);
// str.split and str.rsplit. max_splits −1: no limit. separator nullopt: split at runs of
// whitespace.
std::vector<std::string> Split(std::string_view text, std::optional<std::string_view> separator,
                               int64_t max_splits);
std::vector<std::string> SplitFromRight(std::string_view text,
                                        std::optional<std::string_view> separator,
                                        int64_t max_splits);
std::vector<std::string> SplitLines(std::string_view text, bool keep_ends);
// str.replace. max −1: replace all occurrences. A result that grows past kMaxTextBytes is an error.
Result<std::string> Replace(std::string_view text, std::string_view from, std::string_view to,
                            int64_t max);

bool IsSpace(std::string_view character);
// Whether str.__repr__ shows the character unescaped.
bool IsPrintable(std::string_view character);
// Change the case of ASCII letters. Any other character that may have a case gives an error that
// names the character, because the result could be wrong.
Result<std::string> Lower(std::string_view text);
Result<std::string> Upper(std::string_view text);
Result<std::string> Capitalize(std::string_view text);

inline constexpr size_t kMaxTextBytes = size_t{16} << 20;

}  // namespace merope::strings
