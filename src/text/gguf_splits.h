// What the names in tokenizer.ggml.pre mean, as llama.cpp reads them. Private to src/text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/pieces.h"

namespace merope {

struct GgufSplit {
  std::vector<PreTokenizer> steps;
  bool ignore_merges = false;
  bool add_bos = false;         // where the file does not say
  bool always_bos = false;      // whatever the file says
  bool byte_level = true;       // false: tokens spell a space as U+2581 and other bytes as <0x00>…
  bool whole_newlines = false;  // a piece of newlines that is a token is that token
};

// Refuses a name that is not known. An absent key (an empty name) means "default".
Result<GgufSplit> ReadGgufSplit(std::string_view name, const std::string& file);

}  // namespace merope
