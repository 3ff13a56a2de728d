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
  bool add_bos = false;  // where the file does not say
};

// Refuses a name that is not known. An absent key (an empty name) means "default".
Result<GgufSplit> ReadGgufSplit(std::string_view name, const std::string& file);

}  // namespace merope
