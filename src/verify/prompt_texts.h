// The texts the built-in prompts are composed of: short passages written for this purpose, in many
// languages, code, and what dialogues and retrieval prompts need. Data; prompts.cc makes prompts of
// it.
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

// A question, and three sources of which the first answers it, with the answer a model might give.
struct RetrievalCase {
  std::string_view language;  // "English": as the protocol spells it
  std::string_view query;
  std::string_view sources[3];
  std::string_view answer;  // without the citation
  std::string_view quote;   // a part of sources[0]
};
std::span<const RetrievalCase> RetrievalCases();

// Turns of a conversation, of two speakers in turn; any of one side may answer any of the other.
std::span<const std::string_view> DialogueQuestions();
std::span<const std::string_view> DialogueReplies();

}  // namespace merope
