// Makes the prompt of a question with sources, in the protocol that the checkpoint knows. Pure
// functions. Any thread may call them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "prompt/chat_template.h"
#include "prompt/rag_protocol.h"
#include "rag/cited_answer.h"
#include "text/tokenizer.h"

namespace merope {

struct RagQuestion {
  std::string query;
  std::vector<std::string> sources = {};
  bool fast = false;   // Pleias-RAG: no analysis before the answer
  bool plain = false;  // ask a model with a protocol as one without, in its chat form
};

struct RagPrompt {
  std::vector<int32_t> ids = {};
  RagProtocol protocol = RagProtocol::kNone;
  std::optional<Section> open = {};  // the section that the prompt opens
  std::string language = {};         // if the prompt names it
  // The sources as the model sees them: the first ones of the question, the last of these perhaps
  // cut at a sentence end.
  std::vector<std::string> sources = {};
  int64_t dropped = 0;  // sources that the model does not see
  bool cut = false;     // the last one that it sees was cut
};

// most_tokens: of the prompt. Sources are taken in order. The first one that does not fit is cut
// after its last sentence that fits; it is dropped if not one fits. All sources after it are
// dropped. A question that does not fit without sources is an error.
// chat: the model's chat template, for OCC-RAG (which needs it) and for models without a protocol.
Result<RagPrompt> MakeRagPrompt(const Tokenizer& tokenizer, const std::optional<ChatTemplate>& chat,
                                const RagQuestion& question, int64_t most_tokens);

// The instruction for models without a protocol. It stands between the sources and the question.
std::string_view PlainInstruction();

// The English name of the language of a question, as Pleias-RAG writes it: by its script, else by
// frequent short words. "English" if nothing speaks for another one.
std::string_view QueryLanguage(std::string_view query);

}  // namespace merope
