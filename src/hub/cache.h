// Hugging Face's cache of models, as huggingface_hub lays it out:
//   CACHE/models--ORG--NAME/blobs/HASH               the contents of a file
//   CACHE/models--ORG--NAME/snapshots/COMMIT/PATH    a symbolic link to a blob
//   CACHE/models--ORG--NAME/refs/REVISION            a text: the commit
//   CACHE/.locks/models--ORG--NAME/HASH.lock         locked (flock) while a blob is fetched
// ModelScope's cache is only read.
#pragma once

#include <optional>
#include <string>

#include "base/error.h"
#include "hub/listing.h"

namespace merope {

class RepoCache {
 public:
  RepoCache(const std::string& cache, const std::string& id);

  std::string BlobPath(const HubFile& file) const { return folder_ + "/blobs/" + file.hash; }
  std::string LockPath(const HubFile& file) const;
  std::string SnapshotPath(const std::string& commit) const {
    return folder_ + "/snapshots/" + commit;
  }
  bool HasBlob(const HubFile& file) const;  // of the right size
  // Makes blobs/, snapshots/COMMIT/ and the folder of the locks.
  Status MakeFolders(const std::string& commit) const;
  // Makes the link in the snapshot, in one step.
  Status Link(const std::string& commit, const HubFile& file) const;
  // Writes refs/REVISION, in one step.
  Status SetRevision(const std::string& revision, const std::string& commit) const;
  // The commit of a revision, or of the default one; a commit is its own revision.
  std::optional<std::string> CommitOf(const std::string& revision) const;
  const std::string& folder() const { return folder_; }

 private:
  std::string folder_, locks_;
};

// The model in a folder: the folder itself, if it holds config.json and all safetensors that its
// index names, or else the only .gguf file. The error says what is missing.
Result<std::string> ModelIn(const std::string& folder);

struct CachedModel {
  std::string path;  // what Checkpoint::Open takes
  // Why a model that is in the cache cannot be used: files are missing.
  std::string fault;
};
// Looks in Hugging Face's cache, then in ModelScope's. nullopt: neither has the model.
std::optional<CachedModel> FindCached(const HubSettings& settings, const ModelName& name);

}  // namespace merope
