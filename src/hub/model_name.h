// ORG/NAME[@REVISION], the name of a model on a hub.
#pragma once

#include <string>

#include "base/error.h"

namespace merope {

struct ModelName {
  std::string id;        // "ORG/NAME"
  std::string revision;  // a branch, tag or commit; empty: the hub's default

  std::string Text() const { return revision.empty() ? id : id + "@" + revision; }
};

// ORG and NAME have letters, digits, '.', '_' and '-', and begin with a letter or digit. Names of
// revisions may have "/" between such parts. Errors begin with "model: ".
Result<ModelName> ParseModelName(const std::string& text);

}  // namespace merope
