// Gives the split for a name in tokenizer.ggml.pre, with the meaning that llama.cpp gives the name.
// Tokenizer::FromGguf calls ReadGgufSplit. Private to src/text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/pieces.h"

namespace merope {

struct GgufSplit {
  std::vector<PreTokenizer> steps;
  bool ignore_merges = false;
  bool add_bos = false;         // the default if the file does not specify a value
  bool always_bos = false;      // add BOS even if the file says otherwise
  bool byte_level = true;       // false: tokens spell a space as U+2581 and other bytes as <0x00>…
  bool whole_newlines = false;  // a piece of newlines that equals a token becomes that token
};

// An unknown name is an error. An absent key (an empty name) means "default".
Result<GgufSplit> ReadGgufSplit(std::string_view name, const std::string& file);

}  // namespace merope
