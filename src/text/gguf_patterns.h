// Splits of GGUF vocabularies that are told by regular expressions. Private to src/text.
#pragma once

#include <array>
#include <string_view>

namespace merope {

// Each pattern cuts the pieces that those before it have left. Unused places are empty.
struct GgufPatterns {
  std::array<std::string_view, 4> names;
  std::array<std::string_view, 6> patterns;
  bool ignore_merges = false;
  bool add_bos = false;           // where the file does not say
  bool trailing_triples = false;  // numbers are cut first, by TrailingTriples
};

// nullptr where no such split is known.
const GgufPatterns* FindGgufPatterns(std::string_view name);

}  // namespace merope
