// The splits of GGUF vocabularies that regular expressions define. gguf_splits.cc reads this table.
// Private to src/text.
#pragma once

#include <array>
#include <string_view>

namespace merope {

// Each pattern cuts the pieces that the previous patterns have produced. Unused array elements are
// empty.
struct GgufPatterns {
  std::array<std::string_view, 4> names;
  std::array<std::string_view, 6> patterns;
  bool ignore_merges = false;
  bool add_bos = false;           // the default if the file does not specify a value
  bool trailing_triples = false;  // TrailingTriples cuts the numbers before the patterns apply
};

// Returns nullptr if this table has no split of this name.
const GgufPatterns* FindGgufPatterns(std::string_view name);

}  // namespace merope
