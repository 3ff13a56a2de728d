// Python's view of strings, for templates: characters are code points, whitespace is Unicode's.
// Strings are UTF-8; bytes that are none count as a character each.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace merope::jinja {

// Bytes of the character that starts at `at`.
size_t CharacterBytes(std::string_view text, size_t at);
int64_t CountCharacters(std::string_view text);
// The offset of each character, and the size at the end.
std::vector<size_t> CharacterOffsets(std::string_view text);
// The code point of a character as CharacterBytes cuts it; a byte that is no UTF-8 is itself.
uint32_t CodePoint(std::string_view character);

// str.strip, lstrip and rstrip: of whitespace, or of these characters.
std::string_view Strip(std::string_view text, bool left, bool right,
                       std::optional<std::string_view> characters = std::nullopt);
// str.split and str.rsplit; max_splits −1: no limit. separator nullopt: at runs of whitespace.
std::vector<std::string> Split(std::string_view text, std::optional<std::string_view> separator,
                               int64_t max_splits);
std::vector<std::string> SplitFromRight(std::string_view text,
                                        std::optional<std::string_view> separator,
                                        int64_t max_splits);
std::vector<std::string> SplitLines(std::string_view text, bool keep_ends);
// str.replace; max −1: all. Errors: a result of more than max_bytes.
Result<std::string> Replace(std::string_view text, std::string_view from, std::string_view to,
                            int64_t max);

bool IsSpace(std::string_view character);
// Whether str.__repr__ shows the character as it is.
bool IsPrintable(std::string_view character);
// Case of ASCII letters; other characters that may have a case are refused by name, rather than got
// wrong.
Result<std::string> Lower(std::string_view text);
Result<std::string> Upper(std::string_view text);
Result<std::string> Capitalize(std::string_view text);

inline constexpr size_t kMaxTextBytes = size_t{16} << 20;

}  // namespace merope::jinja
