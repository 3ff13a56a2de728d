// The texts of the built-in prompts: short passages in many languages, written for this purpose;
// code; and the parts of dialogues and of retrieval prompts. prompts.cc builds prompts from these
// texts. The data is constant: any thread may read it.
#pragma once

#include <span>
#include <string_view>

namespace merope {

struct Passage {
  std::string_view language;
  std::string_view text;
};
// Prose, grouped by language.
std::span<const Passage> ProsePassages();
// Program text and markup; language names the programming language.
std::span<const Passage> CodePassages();

// A question, three sources, and an answer that a model may give. The first source answers the
// question.
struct RetrievalCase {
  std::string_view language;  // in the spelling of the RAG protocol: "English"
  std::string_view query;
  std::string_view sources[3];
  std::string_view answer;  // without the citation
  std::string_view quote;   // a part of sources[0]
};
std::span<const RetrievalCase> RetrievalCases();

// The lines of a conversation of two speakers, who speak alternately. Any reply may follow any
// question.
std::span<const std::string_view> DialogueQuestions();
std::span<const std::string_view> DialogueReplies();

}  // namespace merope
