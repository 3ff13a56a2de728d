// Where sentences end. Pure functions, safe on any thread.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "rag/grounding.h"

namespace merope {

// The end of the sentence that begins at `begin`: after a full stop, an exclamation or a question
// mark before white space or the end of the text, after an ideographic one, or after a line end.
// The stop of a word of one letter ("J.") ends none. text is valid UTF-8.
size_t SentenceEnd(std::string_view text, size_t begin);

// The sentences of a text, in order, without white space at their ends.
std::vector<TextSpan> SentencesOf(std::string_view text);

}  // namespace merope
