// Checks the quotes of an answer against the sources, as the model saw them. Pure functions of the
// sources, which do not change. Any thread may call them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "rag/quote_text.h"

namespace merope {

enum class QuoteVerdict : uint8_t {
  kExact,        // the cited source has the quote, byte by byte
  kEquivalent,   // … but for quotation marks, dashes, white space, NFC, ligatures, soft hyphens
  kStitched,     // … in pieces that follow one another; the quote marks the gaps by "(…)"
  kOtherSource,  // the cited source does not have the quote, another one has
  kAbsent,       // no source has the quote
  kTooShort,     // the quote is shorter than a quote may be (quote_text.h)
  kNoSource,     // the cited source does not exist
  kCut,          // the reference does not end
};
// "exact", "equivalent", "stitched", "other_source", "absent", "too_short", "no_source", "cut".
std::string_view QuoteVerdictName(QuoteVerdict verdict);

// Bytes of a source.
struct TextSpan {
  size_t begin = 0, end = 0;
};

struct Grounding {
  QuoteVerdict verdict = QuoteVerdict::kAbsent;
  // The source that has the quote, from 1: the cited source, or another one. 0: no source has it.
  int64_t source = 0;
  std::vector<TextSpan> pieces = {};  // where that source has the quote, in order
  // Whether the quote may be shown as a citation of `source`. A quote that only another source has
  // may be shown if it stands there exactly.
  bool shown = false;
};

class QuotedSources {
 public:
  explicit QuotedSources(const std::vector<std::string>& sources);

  const std::vector<QuoteText>& sources() const { return sources_; }
  // source: the number of the cited source, from 1. The time is linear in the
  // sources, for each piece of the quote.
  Grounding Check(int64_t source, std::string_view quote) const;
  // The text of the pieces, as it stands in the source; " (…) " between pieces.
  std::string Text(const Grounding& grounding) const;

 private:
  // A text without the differences that kEquivalent allows.
  struct Folded {
    std::string text;
    std::vector<uint32_t> begins, ends;  // (text.size()): the bytes of the source for each byte
  };
  static Folded Fold(std::string_view text);

  // Finds the quote at or after the byte `from` of the source. Returns whether it is there.
  bool Find(size_t source, std::string_view quote, size_t from, TextSpan* found, bool* exact) const;
  bool FindStitched(size_t source, std::string_view quote, std::vector<TextSpan>* pieces) const;

  std::vector<QuoteText> sources_;
  std::vector<Folded> folded_;
};

}  // namespace merope
