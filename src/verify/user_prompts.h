// The user's own prompts, from a file. Called before a verification begins.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "text/tokenizer.h"
#include "verify/prompts.h"

namespace merope {

// Appends the prompts of a file, as tokens, cut to the context: "user-1" and so on, of the kind
// "user". A .jsonl file has an object with the text "prompt" on each line, any other one prompt a
// line; empty lines are skipped. Errors name the line.
Status AddUserPrompts(const std::string& path, const Tokenizer& tokenizer, int64_t context,
                      std::vector<VerifyPrompt>* prompts);

}  // namespace merope
