// Fetches files of a hub into the cache, several ranges at a time.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "base/error.h"
#include "hub/cache.h"
#include "hub/listing.h"

namespace merope {

// What a caller is told. All are called on the caller's thread, but `say` on any thread, one at a
// time.
struct PullEvents {
  std::function<void(const std::string&)> say;  // a line for people
  // done and total: bytes of the asked files. fetched: bytes that came in this call.
  std::function<void(int64_t done, int64_t total, int64_t fetched)> progress;
};

// Fetches the files that the cache lacks, and links all files into the snapshot. Returns the number
// of bytes that were fetched. Errors: not enough disk, an answer that no try mends, or a file that
// is not what the list says. What was fetched stays for the next pull.
Result<int64_t> Download(const HubAccess& hub, const RepoCache& repo, const std::string& commit,
                         std::span<const HubFile> files, const PullEvents& events);

}  // namespace merope
