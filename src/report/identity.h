// Reads the name and the licence of a checkpoint. A GGUF states both in its general.* keys. For a
// directory, the name is the directory's name and the licence is in the front matter of README.md.
// Called by Collect, on the caller's thread.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "report/report_data.h"

namespace merope {

Result<ModelIdentity> ReadIdentity(const Checkpoint& checkpoint);
// Returns the value of a top-level key in the YAML front matter of a README (the lines between two
// lines of "---"). Returns an empty string if the key is absent.
std::string FrontMatter(std::string_view readme, std::string_view key);

}  // namespace merope
