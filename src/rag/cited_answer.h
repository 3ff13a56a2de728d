// The answer of a RAG model as typed values. TraceParser makes a CitedAnswer of the model's text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "rag/grounding.h"

namespace merope {

// The sections that a model may write. kReasoning and kStatus belong to OCC-RAG, the others to
// Pleias-RAG; both have kQueryAnalysis, kSourceAnalysis and kAnswer.
enum class Section : uint8_t {
  kLanguage,
  kQueryAnalysis,
  kQueryReport,
  kSourceAnalysis,
  kSourceReport,
  kDraft,
  kReasoning,
  kStatus,
  kAnswer,
};
inline constexpr int64_t kSections = 9;
std::string_view SectionName(Section section);  // "language", "query_analysis", …
// The token before or after a section: "<|language_start|>", "<|language_end|>". The token before
// the number of a source.
std::string_view SectionToken(Section section, bool start);
inline constexpr std::string_view kSourceIdToken = "<|source_id|>";

// What became of the question.
enum class AnswerState : uint8_t {
  kTrivial,         // the model needed no source
  kAnswered,        // at least one citation is shown
  kReformulated,    // the model asks for another question
  kRefused,         // the model refuses the question, or does not understand it
  kInfeasible,      // the model says that the sources do not answer
  kTruncated,       // the text ended inside a section
  kNoCitation,      // an answer without any reference
  kNotInDocuments,  // no source was good enough to ask the model
  kUnsupported,     // an answer with references, of which none is shown
};
std::string_view AnswerStateName(AnswerState state);  // "trivial", "answered", …

// A reference of the answer, after its check.
struct Citation {
  int64_t number = 0;           // from 1, in the order of the text; 0: the citation is not shown
  int64_t cited_source = 0;     // what the model wrote; 0: no number
  std::string quote = {};       // what the model wrote
  std::string cited_text = {};  // the source's own text, if the citation is shown
  std::string supported_text = {};  // the sentence before the reference
  Grounding grounding = {};         // grounding.source is the source to show
};

struct CitedAnswer {
  std::string language, query_analysis, query_report, source_analysis, source_report, draft;
  std::string reasoning, status;
  std::string answer;        // with its references, as the model wrote it
  std::string clean_answer;  // [n] for a citation, "[unsupported]" for a quote that is not shown
  std::vector<Citation> citations, unsupported;
  // Sentences of the answer without a reference.
  std::vector<std::string> without_reference;
  AnswerState state = AnswerState::kNoCitation;

  std::string& section(Section section);
};

}  // namespace merope
