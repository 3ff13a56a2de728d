// Builds the prompts of the precision suite, as token ids of the given tokenizer: the 25 prompts of
// the reference report, and a built-in set of more than 200 prompts. The prompts are deterministic:
// they are always the same for the same tokenizer, context, mode and chat template. Called by the
// suite, `merope verify` and `merope report`, on the caller's thread.
//
// The reference report: the public adaptation report of Pleias-RAG-350M on an Ascend NPU.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "checkpoint/checkpoint.h"
#include "text/tokenizer.h"

namespace merope {

enum class VerifyMode : uint8_t { kQuick, kDefault, kFull };
std::string_view VerifyModeName(VerifyMode mode);  // "quick", "default", "full"

struct VerifyPrompt {
  std::string id{};  // unique: "report-01", "prose-fr-3", "rag-7-1"
  // "report", "chat", "prose", "code", "list", "dialogue", "boundary", "long", "sources", "rag",
  // "user"
  std::string kind{};
  std::string language{};  // "en", "zh", …; also "mixed" and "code"
  std::string text{};      // the text of the ids; for a cut prompt, the text up to the cut
  std::vector<int32_t> ids{};
  // The last `generated` of the ids are the target's own greedy continuation (an endpoint's).
  int64_t generated = 0;
  // The first position whose logits are compared: an endpoint may give none for the prompt.
  int64_t first = 0;

  // The number of ids that were asked.
  int64_t asked() const { return std::ssize(ids) - generated; }
};

// The texts of the reference report's prompts, in the order of the report.
std::span<const std::string_view> ReportPrompts();

// Renders a user's message with the checkpoint's chat template, up to the start of the answer.
using ChatWording = std::function<Result<std::string>(std::string_view message)>;

// Returns the prompts of a mode, the reference report's prompts first. A prompt longer than the
// context is cut to the context. With a non-empty `chat`, the default and full modes also have the
// reference report's prompts in the chat template. Errors: a prompt without tokens, and errors of
// the tokenizer and the template.
Result<std::vector<VerifyPrompt>> BuildPrompts(const Tokenizer& tokenizer, int64_t context,
                                               VerifyMode mode, const ChatWording& chat = {});
// The same with the checkpoint's context, and with its chat template if the checkpoint has a usable
// one. A template that asks for the date gets OwnPromptsDate().
Result<std::vector<VerifyPrompt>> BuildPrompts(const Checkpoint& checkpoint,
                                               const Tokenizer& tokenizer, VerifyMode mode);

}  // namespace merope
