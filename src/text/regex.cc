#include "text/regex.h"

#include <oniguruma.h>

#include <algorithm>
#include <ctime>
#include <new>

#include "base/utf8.h"

namespace merope {
namespace {

constexpr size_t kMaxPatternBytes = 64 * 1024, kMaxShownBytes = 256,
                 kMaxSubjectBytes = size_t{64} << 20;
// The maximum nesting depth of groups. Oniguruma's parser and compiler recurse.
constexpr unsigned int kMaxNesting = 512;
// The limits of one search: the number of backtracking steps, and the number of stored backtracking
// points. A search beyond a limit is an error.
constexpr unsigned long kMaxRetries = 20'000'000;
constexpr unsigned int kMaxStack = 1'000'000;
// Oniguruma does not count every step as a backtracking step, so FindAll also limits the processor
// time per text. FindAll reads the clock after kPlaces possible start positions of a match. One
// start position may take time linear in the text.
constexpr double kMaxSeconds = 2, kMaxSecondsPerByte = 2e-6;
constexpr size_t kPlaces = 256;

struct Deleter {
  void operator()(regex_t* p) const { onig_free(p); }
  void operator()(OnigRegion* p) const { onig_region_free(p, /*free_self=*/1); }
  void operator()(OnigMatchParam* p) const { onig_free_match_param(p); }
};
template <class T>
using Owned = std::unique_ptr<T, Deleter>;

double ThreadSeconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

const unsigned char* Bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

std::string ErrorText(int code, OnigErrorInfo* info = nullptr) {
  unsigned char buffer[ONIG_MAX_ERROR_MESSAGE_LEN];
  const int size = onig_error_code_to_str(buffer, code, info);
  return {reinterpret_cast<const char*>(buffer), static_cast<size_t>(size)};
}

bool IsInsideCharacter(std::string_view text, size_t at) {
  return at < text.size() && utf8::IsContinuation(text[at]);
}

// Returns the smallest offset ≥ at that is a boundary between characters.
size_t Boundary(std::string_view text, size_t at) {
  while (at < text.size() && IsInsideCharacter(text, at)) ++at;
  return std::min(at, text.size());
}

struct Pattern {
  std::shared_ptr<regex_t> regex;
  bool by_places;  // whether FindAll may try the pattern at each start position separately
  std::string where;
};

// Does the same as HF tokenizers: an empty text has no match, and an empty match directly after
// another match does not count.
Status FindAll(const Pattern& pattern, std::string_view text, std::vector<TextRange>* matches) {
  if (text.empty()) return {};
  if (text.size() > kMaxSubjectBytes) {
    return Err("{}: the regular expression is for texts of at most {} bytes, found {}",
               pattern.where, kMaxSubjectBytes, text.size());
  }
  const Owned<OnigRegion> region(onig_region_new());
  const Owned<OnigMatchParam> limits(onig_new_match_param());
  if (!region || !limits) throw std::bad_alloc();
  onig_set_retry_limit_in_match_of_match_param(limits.get(), kMaxRetries);
  onig_set_retry_limit_in_search_of_match_param(limits.get(), kMaxRetries);
  onig_set_match_stack_limit_size_of_match_param(limits.get(), kMaxStack);
  const double deadline =
      ThreadSeconds() + kMaxSeconds + kMaxSecondsPerByte * static_cast<double>(text.size());
  const unsigned char *const begin = Bytes(text), *const end = begin + text.size();
  // onig_search ends a match at the end of its search range, so FindAll cannot search a long text
  // range by range. FindAll tries a match at each start position instead.
  const bool by_places = pattern.by_places && text.size() > kPlaces;
  size_t last_end = SIZE_MAX, places = 0;  // places: start positions since the last clock reading
  for (size_t at = 0;;) {
    const int found = by_places
                          ? onig_match_with_param(pattern.regex.get(), begin, end, begin + at,
                                                  region.get(), ONIG_OPTION_NONE, limits.get())
                          : onig_search_with_param(pattern.regex.get(), begin, end, begin + at, end,
                                                   region.get(), ONIG_OPTION_NONE, limits.get());
    if (found < 0 && found != ONIG_MISMATCH) {
      return Err("{}: the regular expression fails at byte {} of a text: {}", pattern.where, at,
                 ErrorText(found));
    }
    if (++places >= kPlaces) {
      places = 0;
      if (ThreadSeconds() > deadline) {
        return Err("{}: the regular expression takes too long at byte {} of a text of {}",
                   pattern.where, at, text.size());
      }
    }
    if (found < 0) {
      if (!by_places || at == text.size()) break;
      utf8::Next(text, &at);
      continue;
    }
    const size_t next = static_cast<size_t>(region->end[0]);
    const TextRange match{static_cast<size_t>(region->beg[0]), next};
    if (match.begin < at || match.end < match.begin || IsInsideCharacter(text, match.begin) ||
        IsInsideCharacter(text, match.end)) {
      return Err("{}: the regular expression matches out of order at byte {} of a text",
                 pattern.where, at);
    }
    at = match.end;
    if (match.begin != match.end || match.end != last_end) {
      matches->push_back(match);
      last_end = match.end;
    } else if (at == text.size()) {
      break;
    } else {
      utf8::Next(text, &at);
    }
  }
  return {};
}

}  // namespace

Result<Matcher> RegexMatcher(const std::string& pattern, const std::string& where) {
  if (pattern.size() > kMaxPatternBytes) {
    return Err("{}: expected a regular expression of at most {} bytes, found {}", where,
               kMaxPatternBytes, pattern.size());
  }
  static const int initialized = [] {
    OnigEncoding encodings[] = {ONIG_ENCODING_UTF8};
    const int code = onig_initialize(encodings, 1);
    onig_set_parse_depth_limit(kMaxNesting);
    return code;
  }();
  regex_t* compiled = nullptr;
  OnigErrorInfo info{};
  const int code = initialized != ONIG_NORMAL
                       ? initialized
                       : onig_new(&compiled, Bytes(pattern), Bytes(pattern) + pattern.size(),
                                  ONIG_OPTION_NONE, ONIG_ENCODING_UTF8, ONIG_SYNTAX_DEFAULT, &info);
  if (code != ONIG_NORMAL) {
    const size_t shown = Boundary(pattern, kMaxShownBytes);
    return Err("{}: expected a regular expression, found \"{}{}\" ({})", where,
               pattern.substr(0, shown), shown < pattern.size() ? "…" : "", ErrorText(code, &info));
  }
  // \G matches the position where the search began, so FindAll cannot try a pattern with \G at each
  // start position separately.
  const Pattern made{std::shared_ptr<regex_t>(compiled, Deleter{}), !pattern.contains("\\G"),
                     where};
  return [made](std::string_view text, std::vector<TextRange>* matches) {
    return FindAll(made, text, matches);
  };
}

Matcher LiteralMatcher(std::string literal) {
  return [literal = std::move(literal)](std::string_view text,
                                        std::vector<TextRange>* matches) -> Status {
    if (literal.empty()) return {};
    for (size_t at = text.find(literal); at != std::string_view::npos;
         at = text.find(literal, at + literal.size())) {
      matches->push_back({at, at + literal.size()});
    }
    return {};
  };
}

}  // namespace merope
