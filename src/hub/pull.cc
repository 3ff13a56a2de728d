#include "hub/pull.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <ranges>

#include "base/mapped_file.h"
#include "hub/cache.h"
#include "hub/select.h"

namespace merope {
namespace {

int64_t TotalBytes(std::ranges::input_range auto&& files) {
  int64_t bytes = 0;
  for (const HubFile& file : files) bytes += file.size;
  return bytes;
}

// Fetches the index of shards, and adds the shards that it names.
Status AddShards(const HubAccess& hub, const RepoCache& repo, const HubListing& listing,
                 const PullEvents& events, std::vector<HubFile>* files, int64_t* fetched) {
  if (std::ranges::find(*files, kShardIndex, &HubFile::path) == files->end()) return {};
  const HubFile& file = *std::ranges::find(listing.files, kShardIndex, &HubFile::path);
  TRY_ASSIGN(const int64_t bytes, Download(hub, repo, listing.commit, std::span(&file, 1),
                                           PullEvents{.say = events.say, .progress = {}}));
  *fetched += bytes;
  TRY_ASSIGN(const std::string text, ReadFile(repo.BlobPath(file)));
  TRY_ASSIGN(const std::vector<HubFile> shards, SelectShards(listing, text, file.path));
  files->insert(files->end(), shards.begin(), shards.end());
  return {};
}

}  // namespace

Result<PullResult> Pull(const ModelName& name, const PullOptions& options,
                        const HubSettings& settings, const PullEvents& events) {
  const HubAccess hub = AccessTo(options.hub, settings);
  if (!settings.offline.empty())
    return Err("{}: cannot be fetched from {}: {} is set", name.Text(), hub.endpoint,
               settings.offline);
  HttpClient client;
  const auto listed = ListFiles(client, hub, name, events.say);
  if (!listed) return std::unexpected(listed.error());
  auto selected = SelectFiles(*listed, options.globs);
  if (!selected) return Within(name.Text(), selected.error());
  std::vector<HubFile>& files = *selected;
  const RepoCache repo(settings.cache, name.id);
  PullResult result{.path = repo.SnapshotPath(listed->commit),
                    .commit = listed->commit,
                    .revision = listed->revision};
  if (options.globs.empty())
    TRY(AddShards(hub, repo, *listed, events, &files, &result.fetched_bytes));
  result.files = static_cast<int64_t>(files.size());
  result.bytes = TotalBytes(files);
  const int64_t missing = TotalBytes(
      files | std::views::filter([&repo](const HubFile& file) { return !repo.HasBlob(file); }));
  if (events.say && missing > 0)
    events.say(fmt::format("fetching {} from {}: {:.1f} of {:.1f} MB, into {}", name.Text(),
                           PublicUrl(hub.endpoint), static_cast<double>(missing) / 1e6,
                           static_cast<double>(result.bytes) / 1e6, repo.folder()));
  TRY_ASSIGN(const int64_t fetched, Download(hub, repo, listed->commit, files, events));
  result.fetched_bytes += fetched;
  TRY(repo.SetRevision(listed->revision, listed->commit));
  if (options.globs.empty()) {
    TRY_ASSIGN(result.path, ModelIn(result.path));
  } else if (files.size() == 1 && files.front().path.ends_with(".gguf")) {
    result.path += "/" + files.front().path;
  }
  return result;
}

Result<std::string> LocalModel(const std::string& model, const HubSettings& settings,
                               const PullEvents& events) {
  std::error_code error;
  if (std::filesystem::exists(model, error)) return model;
  const auto name = ParseModelName(model);
  if (!name) return model;
  const std::optional<CachedModel> cached = FindCached(settings, *name);
  if (cached && cached->fault.empty()) return cached->path;
  if (!settings.offline.empty())
    return Err(
        "{}: no such path, and {}; {} is set, so fetch the model elsewhere with `merope pull {}`",
        model, cached ? "the cache has only a part: " + cached->fault : "it is not in the cache",
        settings.offline, model);
  const auto pulled = Pull(*name, {}, settings, events);
  if (!pulled) return Within(model + ": no such path, and not in the cache", pulled.error());
  return pulled->path;
}

}  // namespace merope
