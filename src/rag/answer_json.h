// A cited answer as JSON, the same for the command line, Python and the server. Pure functions.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "rag/ask.h"

namespace merope {

// names: the name of each source, for "source"; empty: no names.
//
//   {"query", "state", "answer", "clean_answer", "language", "query_analysis", …,
//    "citations": [{"citation_number", "source_id", "source", "cited_text", "supported_text",
//                   "verdict", "pieces": [[begin, end], …], "quote", "cited_source"}, …],
//    "unsupported": [{"verdict", "cited_source", "quote", "found_in", "supported_text"}, …],
//    "without_reference": [sentence, …], "sources": {"given", "seen", "cut"},
//    "finish_reason", "prompt_tokens", "generated_tokens", "forced_tokens"}
//
// clean_answer ends with the list of the citations. pieces: bytes of the source's text, as the
// model saw it. found_in: the source that has the quote, or null.
OrderedJson AnswerToJson(const RagQuestion& question, const RagResult& result,
                         const std::vector<std::string>& names);
OrderedJson CitationToJson(const Citation& citation, const std::vector<std::string>& names);

// What a stream sends: {"event": "open" | "text" | "citation" | "unsupported" | "close", "section",
// …}.
OrderedJson EventToJson(const TraceEvent& event, const std::vector<std::string>& names);

}  // namespace merope
