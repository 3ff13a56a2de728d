#include "text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "text/utf8.h"

namespace merope {
namespace {

// The steps and the memory (KiB) that one match may take before the text is refused.
constexpr uint32_t kMatchLimit = 20'000'000, kHeapLimit = 64 * 1024;
constexpr size_t kMaxPatternBytes = 64 * 1024;

std::string ErrorText(int code) {
  unsigned char buffer[256];
  pcre2_get_error_message(code, buffer, sizeof buffer);
  return reinterpret_cast<const char*>(buffer);
}

struct Deleter {
  void operator()(pcre2_code* p) const { pcre2_code_free(p); }
  void operator()(pcre2_match_context* p) const { pcre2_match_context_free(p); }
  void operator()(pcre2_match_data* p) const { pcre2_match_data_free(p); }
};
template <class T>
using Owned = std::unique_ptr<T, Deleter>;

Status FindAll(const pcre2_code* code, std::string_view text, const std::string& where,
               std::vector<TextRange>* matches) {
  const Owned<pcre2_match_context> context(pcre2_match_context_create(nullptr));
  const Owned<pcre2_match_data> data(pcre2_match_data_create_from_pattern(code, nullptr));
  if (!context || !data) throw std::bad_alloc();
  pcre2_set_match_limit(context.get(), kMatchLimit);
  pcre2_set_heap_limit(context.get(), kHeapLimit);
  size_t at = 0;
  while (at <= text.size()) {
    const int found = pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at,
                                  PCRE2_NO_UTF_CHECK, data.get(), context.get());
    if (found == PCRE2_ERROR_NOMATCH) break;
    if (found < 0) {
      return Err("{}: the regular expression fails at byte {} of a text: {}", where, at,
                 ErrorText(found));
    }
    const size_t* ends = pcre2_get_ovector_pointer(data.get());
    // \K can put the start before the last match; such a match is no split point.
    if (ends[0] < at || ends[1] < ends[0]) {
      return Err("{}: the regular expression matches out of order at byte {} of a text", where, at);
    }
    matches->push_back({ends[0], ends[1]});
    at = ends[1];
    if (ends[0] == ends[1]) {
      if (at == text.size()) break;
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
  int error = 0;
  size_t offset = 0;
  const std::shared_ptr<pcre2_code> code(
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &offset, nullptr),
      Deleter{});
  if (!code) {
    return Err("{}: expected a regular expression, found \"{}\" ({} at byte {})", where, pattern,
               ErrorText(error), offset);
  }
  pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);  // without JIT it is merely slower
  return [code, where](std::string_view text, std::vector<TextRange>* matches) {
    return FindAll(code.get(), text, where, matches);
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
