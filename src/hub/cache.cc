#include "hub/cache.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"
#include "hub/select.h"

namespace merope {
namespace {

namespace fs = std::filesystem;

// "ORG/NAME" as a part of a path: "ORG--NAME".
std::string Dashed(std::string id) { return id.replace(id.find('/'), 1, "--"); }

Status MakeFolder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return Err("{}: cannot make the folder: {}", path.string(), error.message());
  return {};
}

// Renames over what is there. The name of this process keeps two writers apart.
std::string PartName(const std::string& path) { return fmt::format("{}.{}.part", path, getpid()); }

Status Replace(const std::string& part, const std::string& path) {
  std::error_code error;
  fs::rename(part, path, error);
  if (!error) return {};
  const auto fault = Err("{}: cannot write: {}", path, error.message());
  fs::remove(part, error);
  return fault;
}

bool IsFile(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

// The folders in which the clients of ModelScope keep a model, newest layout first.
std::vector<std::string> ModelScopeFolders(const std::string& cache, const ModelName& name) {
  std::vector<std::string> folders;
  const std::string snapshots = fmt::format("{}/models/{}/snapshots/", cache, Dashed(name.id));
  if (!name.revision.empty()) return {snapshots + name.revision};
  for (const char* revision : {"master", "main"}) folders.push_back(snapshots + revision);
  // Up to version 1.37: dots in the name are three underscores.
  std::string old = name.id;
  for (size_t dot = old.find('.', old.find('/')); dot != std::string::npos;
       dot = old.find('.', dot))
    old.replace(dot, 1, "___");
  for (const char* above : {"/models/", "/hub/models/", "/hub/"})
    folders.push_back(cache + above + old);
  return folders;
}

}  // namespace

RepoCache::RepoCache(const std::string& cache, const std::string& id)
    : folder_(cache + "/models--" + Dashed(id)), locks_(cache + "/.locks/models--" + Dashed(id)) {}

std::string RepoCache::LockPath(const HubFile& file) const {
  return locks_ + "/" + file.hash + ".lock";
}

bool RepoCache::HasBlob(const HubFile& file) const {
  std::error_code error;
  const auto size = fs::file_size(BlobPath(file), error);
  return !error && size == static_cast<uintmax_t>(file.size);
}

Status RepoCache::MakeFolders(const std::string& commit) const {
  TRY(MakeFolder(folder_ + "/blobs"));
  TRY(MakeFolder(SnapshotPath(commit)));
  return MakeFolder(locks_);
}

Status RepoCache::Link(const std::string& commit, const HubFile& file) const {
  const std::string path = SnapshotPath(commit) + "/" + file.path;
  TRY(MakeFolder(fs::path(path).parent_path()));
  std::string target = "../../blobs/" + file.hash;
  for (const char c : file.path)
    if (c == '/') target.insert(0, "../");
  const std::string part = PartName(path);
  std::error_code error;
  fs::remove(part, error);
  fs::create_symlink(target, part, error);
  if (error) return Err("{}: cannot make the link: {}", path, error.message());
  return Replace(part, path);
}

Status RepoCache::SetRevision(const std::string& revision, const std::string& commit) const {
  if (revision == commit) return {};
  const std::string path = folder_ + "/refs/" + revision, part = PartName(path);
  TRY(MakeFolder(fs::path(path).parent_path()));
  TRY(WriteFile(part, commit));
  return Replace(part, path);
}

std::optional<std::string> RepoCache::CommitOf(const std::string& revision) const {
  constexpr size_t kMost = 100;
  // ModelScope's default is master.
  std::vector<std::string> revisions = {revision};
  if (revision.empty()) revisions = {"main", "master"};
  for (const std::string& each : revisions) {
    if (auto commit = ReadFile(folder_ + "/refs/" + each, kMost)) {
      while (commit->ends_with('\n')) commit->pop_back();
      if (!commit->empty() && !commit->contains('/')) return std::move(*commit);
    }
  }
  std::error_code error;
  if (!revision.empty() && fs::is_directory(SnapshotPath(revision), error)) return revision;
  return std::nullopt;
}

Result<std::string> ModelIn(const std::string& folder) {
  const std::string index = folder + "/" + kShardIndex;
  std::vector<std::string> needed;
  if (IsFile(folder + "/model.safetensors")) {
    needed = {"config.json"};
  } else if (IsFile(index)) {
    needed = {"config.json"};
    TRY_ASSIGN(const std::string text, ReadFile(index));
    TRY_ASSIGN(const std::set<std::string> shards, ShardNames(text, index));
    needed.insert(needed.end(), shards.begin(), shards.end());
  }
  for (const std::string& name : needed)
    if (!IsFile(folder + "/" + name)) return Err("{}: expected {}, found none", folder, name);
  if (!needed.empty()) return folder;
  std::set<std::string> ggufs;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error))
    if (it->path().extension() == ".gguf" && IsFile(it->path())) ggufs.insert(it->path().string());
  if (ggufs.empty())
    return Err("{}: expected model.safetensors, {} or a .gguf file, found none", folder,
               kShardIndex);
  if (ggufs.size() > 1)
    return Err("{}: expected one .gguf file, found {}; give the path of one", folder, ggufs.size());
  return *ggufs.begin();
}

std::optional<CachedModel> FindCached(const HubSettings& settings, const ModelName& name) {
  const RepoCache repo(settings.cache, name.id);
  std::vector<std::string> folders;
  if (const auto commit = repo.CommitOf(name.revision))
    folders.push_back(repo.SnapshotPath(*commit));
  for (std::string& folder : ModelScopeFolders(settings.modelscope_cache, name))
    folders.push_back(std::move(folder));
  std::optional<CachedModel> unusable;
  for (const std::string& folder : folders) {
    std::error_code error;
    if (!fs::is_directory(folder, error)) continue;
    auto path = ModelIn(folder);
    if (path) return CachedModel{.path = std::move(*path), .fault = {}};
    if (!unusable) unusable = CachedModel{.path = {}, .fault = path.error().message};
  }
  return unusable;
}

}  // namespace merope
