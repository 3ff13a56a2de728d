// The name and licence that a checkpoint states: README.md's front matter, or a GGUF's general.*
// keys.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "report/report_data.h"

namespace merope {

Result<ModelIdentity> ReadIdentity(const Checkpoint& checkpoint);
// The value of a top-level key of a README's YAML front matter (between two lines of "---"); empty
// where there is none.
std::string FrontMatter(std::string_view readme, std::string_view key);

}  // namespace merope
