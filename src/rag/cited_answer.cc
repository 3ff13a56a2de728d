#include "rag/cited_answer.h"

#include <fmt/format.h>

#include "base/error.h"

namespace merope {

std::string_view SectionName(Section section) {
  constexpr std::string_view kNames[] = {"language",        "query_analysis", "query_report",
                                         "source_analysis", "source_report",  "draft",
                                         "reasoning",       "status",         "answer"};
  return kNames[static_cast<size_t>(section)];
}

std::string_view SectionToken(Section section, bool start) {
  static const std::vector<std::string> tokens = [] {
    std::vector<std::string> made;
    for (int64_t i = 0; i < kSections; ++i)
      for (const std::string_view end : {"end", "start"})
        made.push_back(fmt::format("<|{}_{}|>", SectionName(static_cast<Section>(i)), end));
    return made;
  }();
  return tokens[2 * static_cast<size_t>(section) + (start ? 1 : 0)];
}

std::string_view AnswerStateName(AnswerState state) {
  constexpr std::string_view kNames[] = {"trivial",     "answered",         "reformulated",
                                         "refused",     "infeasible",       "truncated",
                                         "no_citation", "not_in_documents", "unsupported"};
  return kNames[static_cast<size_t>(state)];
}

std::string& CitedAnswer::section(Section section) {
  switch (section) {
    case Section::kLanguage:
      return language;
    case Section::kQueryAnalysis:
      return query_analysis;
    case Section::kQueryReport:
      return query_report;
    case Section::kSourceAnalysis:
      return source_analysis;
    case Section::kSourceReport:
      return source_report;
    case Section::kDraft:
      return draft;
    case Section::kReasoning:
      return reasoning;
    case Section::kStatus:
      return status;
    case Section::kAnswer:
      return answer;
  }
  CHECK(false, "section {}", static_cast<int>(section));
}

}  // namespace merope
