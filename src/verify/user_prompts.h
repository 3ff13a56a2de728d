// The prompts of a verification: those of the mode, and the user's own, which are read from a file.
// Called by the suite, `merope verify` and `merope report`, before a verification begins, on the
// caller's thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "text/tokenizer.h"
#include "verify/prompts.h"

namespace merope {

// Appends the prompts of a file, as token ids, cut to the context. Their ids are "user-1",
// "user-2", …, and their kind is "user". A .jsonl file has one object with a text "prompt" per
// line; any other file has one prompt per line. Empty lines are skipped. Errors: a .json file; a
// file of more than 64 MiB; no prompts, or more than 10,000; a line that is not UTF-8, not such an
// object, or without a token. An error of a line names the line.
Status AddUserPrompts(const std::string& path, const Tokenizer& tokenizer, int64_t context,
                      std::vector<VerifyPrompt>* prompts);

// BuildPrompts, and then the user's own prompts. path: empty if there are none.
Result<std::vector<VerifyPrompt>> AllPrompts(const Checkpoint& checkpoint,
                                             const Tokenizer& tokenizer, VerifyMode mode,
                                             const std::string& path);

}  // namespace merope
