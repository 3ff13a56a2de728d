// What the precision suite feeds to the models: the reference report's 25 prompts and a built-in
// set of more than 200, as token ids of the model at hand. The same for the same tokenizer and
// context, always.
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
  std::string id;  // "report-01", "prose-fr-03", "rag-07": unique
  std::string
      kind;  // "report", "chat", "prose", "code", "list", "dialogue", "rag", "boundary", "long"
  std::string language;  // "en", "zh", …; "mixed" and "code" too
  std::string text;      // what the ids say; for cut prompts the text before the cut
  std::vector<int32_t> ids;
};

// The reference report's prompts, as text, in its order.
std::span<const std::string_view> ReportPrompts();

// A user's message as the checkpoint's chat template words it, the answer begun.
using ChatWording = std::function<Result<std::string>(std::string_view message)>;

// The prompts of a mode, the report's first. Prompts longer than the context are cut to it. With a
// chat template (may be empty), the report's prompts go through it, too, but for the quick mode.
Result<std::vector<VerifyPrompt>> BuildPrompts(const Tokenizer& tokenizer, int64_t context,
                                               VerifyMode mode, const ChatWording& chat = {});
// The same for a checkpoint: its context, and its chat template if it has one that can be used.
Result<std::vector<VerifyPrompt>> BuildPrompts(const Checkpoint& checkpoint,
                                               const Tokenizer& tokenizer, VerifyMode mode);

}  // namespace merope
