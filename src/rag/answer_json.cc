#include "rag/answer_json.h"

#include <fmt/format.h>

#include <utility>

namespace merope {
namespace {

std::string WithCitations(const CitedAnswer& answer) {
  std::string text = answer.clean_answer;
  for (const Citation& one : answer.citations)
    text += fmt::format("{}\n[{}] \"{}\" [Source {}]", one.number == 1 ? "\n\n**Citations**\n" : "",
                        one.number, one.cited_text, one.grounding.source);
  return text;
}

}  // namespace

OrderedJson CitationToJson(const Citation& citation, const std::vector<std::string>& names) {
  OrderedJson pieces = OrderedJson::array();
  for (const TextSpan& piece : citation.grounding.pieces)
    pieces.push_back(OrderedJson::array({piece.begin, piece.end}));
  const int64_t source = citation.grounding.source;
  OrderedJson json;
  if (citation.number > 0) {
    json["citation_number"] = citation.number;
    json["source_id"] = source;
    if (source <= std::ssize(names)) json["source"] = names[static_cast<size_t>(source - 1)];
    json["cited_text"] = citation.cited_text;
  } else {
    json["found_in"] = source > 0 ? OrderedJson(source) : OrderedJson(nullptr);
  }
  json["supported_text"] = citation.supported_text;
  json["verdict"] = QuoteVerdictName(citation.grounding.verdict);
  if (citation.number > 0) json["pieces"] = std::move(pieces);
  json["quote"] = citation.quote;
  json["cited_source"] = citation.cited_source;
  return json;
}

OrderedJson AnswerToJson(const RagQuestion& question, const RagResult& result,
                         const std::vector<std::string>& names) {
  const CitedAnswer& answer = result.answer;
  const auto all = [&names](const std::vector<Citation>& citations) {
    OrderedJson list = OrderedJson::array();
    for (const Citation& citation : citations) list.push_back(CitationToJson(citation, names));
    return list;
  };
  return {{"query", question.query},
          {"state", AnswerStateName(answer.state)},
          {"answer", answer.answer},
          {"clean_answer", WithCitations(answer)},
          {"language", answer.language},
          {"query_analysis", answer.query_analysis},
          {"query_report", answer.query_report},
          {"source_analysis", answer.source_analysis},
          {"source_report", answer.source_report},
          {"reasoning", answer.reasoning},
          {"status", answer.status},
          {"draft", answer.draft},
          {"citations", all(answer.citations)},
          {"unsupported", all(answer.unsupported)},
          {"without_reference", answer.without_reference},
          {"sources",
           {{"given", question.sources.size()},
            {"seen", result.prompt.sources.size()},
            {"cut", result.prompt.cut}}},
          {"raw", result.raw},
          {"finish_reason", FinishReasonName(result.finish_reason)},
          {"prompt_tokens", result.prompt.ids.size()},
          {"generated_tokens", result.ids.size()},
          {"forced_tokens", result.forced}};
}

OrderedJson EventToJson(const TraceEvent& event, const std::vector<std::string>& names) {
  switch (event.kind) {
    case TraceEvent::Kind::kOpen:
      return {{"event", "open"}, {"section", SectionName(event.section)}};
    case TraceEvent::Kind::kText:
      return {{"event", "text"}, {"section", SectionName(event.section)}, {"text", event.text}};
    case TraceEvent::Kind::kCitation:
      return {{"event", event.citation.number > 0 ? "citation" : "unsupported"},
              {"section", SectionName(event.section)},
              {"citation", CitationToJson(event.citation, names)}};
    case TraceEvent::Kind::kClose:
      break;
  }
  return {{"event", "close"}, {"section", SectionName(event.section)}, {"cut", event.cut}};
}

}  // namespace merope
