// What the files beside a tokenizer.json say of the tokenizer. Internal to the layer.
#pragma once

#include <string>

#include "base/error.h"
#include "text/tokenizer.h"

namespace merope {

// From tokenizer_config.json and, where that has no added_tokens_decoder, from
// special_tokens_map.json and added_tokens.json, as transformers' AutoTokenizer reads them.
Result<TokenizerAdditions> ReadTokenizerAdditions(const std::string& directory);

}  // namespace merope
