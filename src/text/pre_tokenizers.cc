#include <algorithm>
#include <optional>

#include "base/utf8.h"
#include "text/pieces.h"

namespace merope::pre_tokenizers {
namespace {

// A part of a piece. The parts of a piece are in order and cover the whole piece.
struct Part {
  size_t begin, end;
  bool is_match;
};

// Appends one part for each match and one part for each text between matches.
void Cover(std::string_view piece, const std::vector<TextRange>& matches,
           std::vector<Part>* parts) {
  size_t at = 0;
  for (const TextRange& match : matches) {
    if (match.begin > at) parts->push_back({at, match.begin, false});
    parts->push_back({match.begin, match.end, true});
    at = match.end;
  }
  if (at < piece.size()) parts->push_back({at, piece.size(), false});
}

// Joins parts with their neighbours according to behavior.
void Join(SplitBehavior behavior, std::vector<Part>* parts) {
  const bool backwards = behavior == SplitBehavior::kMergedWithNext;
  if (backwards) std::ranges::reverse(*parts);
  size_t kept = 0;
  bool previous = false;
  for (const Part part : *parts) {
    const bool joins = behavior == SplitBehavior::kContiguous ? part.is_match == previous
                                                              : part.is_match && !previous;
    previous = part.is_match;
    if (joins && kept > 0) {
      Part& last = (*parts)[kept - 1];
      last.begin = std::min(last.begin, part.begin);
      last.end = std::max(last.end, part.end);
    } else {
      (*parts)[kept++] = part;
    }
  }
  parts->resize(kept);
  if (backwards) std::ranges::reverse(*parts);
}

// Cuts every piece. cut(piece, parts) appends the parts that cover the piece.
template <class Cut>
Status CutAll(Pieces* pieces, SplitBehavior behavior, const Cut& cut) {
  std::vector<size_t> ends;
  std::vector<Part> parts;
  std::string kept;  // the text without the removed matches
  size_t begin = 0;
  for (size_t i = 0; i < pieces->size(); ++i) {
    const std::string_view piece = (*pieces)[i];
    parts.clear();
    TRY(cut(piece, &parts));
    if (behavior == SplitBehavior::kRemoved) {
      for (const Part& part : parts) {
        if (part.is_match || part.begin == part.end) continue;
        kept.append(piece, part.begin, part.end - part.begin);
        ends.push_back(kept.size());
      }
    } else {
      if (behavior != SplitBehavior::kIsolated) Join(behavior, &parts);
      for (const Part& part : parts) {
        if (part.begin != part.end) ends.push_back(begin + part.end);
      }
    }
    begin += piece.size();
  }
  if (behavior == SplitBehavior::kRemoved) pieces->text = std::move(kept);
  pieces->ends = std::move(ends);
  return {};
}

// Rewrites every piece. rewrite(i, piece, out) appends the new text of piece i to *out.
template <class Rewrite>
void RewriteAll(Pieces* pieces, const Rewrite& rewrite) {
  std::string text;
  std::vector<size_t> ends;
  text.reserve(pieces->text.size());
  ends.reserve(pieces->size());
  for (size_t i = 0; i < pieces->size(); ++i) {
    rewrite(i, (*pieces)[i], &text);
    ends.push_back(text.size());
  }
  pieces->text = std::move(text);
  pieces->ends = std::move(ends);
}

}  // namespace

PreTokenizer Split(Matcher matcher, SplitBehavior behavior, bool invert) {
  return [=](Pieces* pieces) -> Status {
    std::vector<TextRange> matches;
    return CutAll(pieces, behavior,
                  [&](std::string_view piece, std::vector<Part>* parts) -> Status {
                    matches.clear();
                    TRY(matcher(piece, &matches));
                    Cover(piece, matches, parts);
                    if (invert) {
                      for (Part& part : *parts) part.is_match = !part.is_match;
                    }
                    return {};
                  });
  };
}

PreTokenizer SplitCharacters(bool (*is_match)(char32_t), SplitBehavior behavior) {
  return [=](Pieces* pieces) -> Status {
    return CutAll(pieces, behavior,
                  [&](std::string_view piece, std::vector<Part>* parts) -> Status {
                    for (size_t at = 0; at < piece.size();) {
                      const size_t begin = at;
                      const bool match = is_match(utf8::Next(piece, &at));
                      if (!match && !parts->empty() && !parts->back().is_match) {
                        parts->back().end = at;
                      } else {
                        parts->push_back({begin, at, match});
                      }
                    }
                    return {};
                  });
  };
}

PreTokenizer AddPrefixSpace() {
  return [](Pieces* pieces) -> Status {
    RewriteAll(pieces, [](size_t, std::string_view piece, std::string* out) {
      if (!piece.starts_with(' ')) out->push_back(' ');
      out->append(piece);
    });
    return {};
  };
}

PreTokenizer MapBytes() {
  return [](Pieces* pieces) -> Status {
    RewriteAll(pieces, [](size_t, std::string_view piece, std::string* out) {
      byte_level::AppendMapped(piece, out);
    });
    return {};
  };
}

PreTokenizer Metaspace(std::string replacement, Prepend prepend, bool split) {
  const PreTokenizer cut =
      Split(LiteralMatcher(replacement), SplitBehavior::kMergedWithNext, /*invert=*/false);
  return [=](Pieces* pieces) -> Status {
    RewriteAll(pieces, [&](size_t i, std::string_view piece, std::string* out) {
      const bool wants =
          prepend == Prepend::kAlways || (prepend == Prepend::kFirst && i == 0 && pieces->at_start);
      if (wants && !piece.starts_with(' ') && !piece.starts_with(replacement)) {
        out->append(replacement);
      }
      for (const char c : piece) {
        if (c == ' ') {
          out->append(replacement);
        } else {
          out->push_back(c);
        }
      }
    });
    return split ? cut(pieces) : Status();
  };
}

}  // namespace merope::pre_tokenizers
