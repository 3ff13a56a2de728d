// Models by name: ORG/NAME[@REVISION] on Hugging Face or ModelScope. The commands call these
// functions where the user gives a model.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "hub/download.h"
#include "hub/listing.h"
#include "hub/settings.h"

namespace merope {

struct PullOptions {
  HubKind hub = HubKind::kHuggingFace;
  std::vector<std::string> globs;  // empty: what merope needs
};

struct PullResult {
  std::string path;    // the model: a folder, or a .gguf file; with globs perhaps only the folder
  std::string commit;  // of the snapshot
  std::string revision;
  int64_t files = 0, bytes = 0, fetched_bytes = 0;
};

// Fetches a model into the cache. The revision points at the new snapshot only once all its files
// are there.
Result<PullResult> Pull(const ModelName& name, const PullOptions& options,
                        const HubSettings& settings, const PullEvents& events);

// The path of a model that the user named by a path or by ORG/NAME[@REVISION]: a path that exists,
// as it is; else from the cache; else fetched from Hugging Face. A text that is neither a path nor
// a name is returned as it is, so that its reader says what is wrong.
Result<std::string> LocalModel(const std::string& model, const HubSettings& settings,
                               const PullEvents& events);

}  // namespace merope
