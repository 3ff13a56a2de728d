// Reads the settings of the tokenizer in the files beside a tokenizer.json. Internal to this layer.
// directory.cc calls ReadTokenizerAdditions on the thread that reads the tokenizer.
#pragma once

#include <string>

#include "base/error.h"
#include "text/tokenizer.h"

namespace merope {

// Reads tokenizer_config.json. If this file has no added_tokens_decoder, also reads
// special_tokens_map.json and added_tokens.json. transformers' AutoTokenizer does the same.
Result<TokenizerAdditions> ReadTokenizerAdditions(const std::string& directory);

}  // namespace merope
