// The files of a model on a hub, as the hub's API lists them.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "http/http_client.h"
#include "hub/model_name.h"
#include "hub/settings.h"

namespace merope {

enum class HubKind : uint8_t { kHuggingFace, kModelScope };

struct HubFile {
  enum class Hash : uint8_t { kSha256, kGitSha1 };
  std::string path;  // relative, with '/', without ".."
  int64_t size = 0;  // bytes
  // The hash of the contents, in hexadecimal: Hugging Face's git blob name (SHA-1 of "blob SIZE\0"
  // and the contents), or the SHA-256 of its LFS files; ModelScope's Sha256. It is also the name
  // of the file in the cache.
  Hash hash_kind = Hash::kSha256;
  std::string hash = {};
  std::string url = {};
};

struct HubListing {
  // Hugging Face: the commit. ModelScope, whose API gives no commit: the SHA-1 of the file list.
  std::string commit = {};
  std::string revision;  // the asked revision, or the hub's default
  std::vector<HubFile> files = {};
};

// One hub: where it is, and what goes with each request.
struct HubAccess {
  HubKind kind;
  std::string name;  // "Hugging Face"
  std::string endpoint;
  std::vector<std::string> headers;  // the credentials
  std::string token_variable;        // for messages
  bool has_token;
  int stall_seconds;
  StopFlag stop = {};
};
HubAccess AccessTo(HubKind kind, const HubSettings& settings);

// Lists the files. Errors: no such model (with near names), no such revision, a gated or private
// model, a refused token, an answer that is not the API's JSON, or a file whose name could leave
// the cache. say: told of waits.
Result<HubListing> ListFiles(HttpClient& client, const HubAccess& hub, const ModelName& name,
                             const std::function<void(const std::string&)>& say);

}  // namespace merope
