#include "hub/download.h"

#include <sys/statvfs.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <new>
#include <optional>
#include <thread>
#include <vector>

#include "hub/blob.h"

namespace merope {
namespace {

constexpr int kConnections = 4;
constexpr int64_t kRange = 32 * Blob::kPiece;
constexpr std::string_view kBytes = "bytes ";

// A blob and its state, which Fetcher's mutex guards.
struct Target {
  Blob blob;
  bool whole = false;  // the server ignores ranges: one worker fetches the whole file
};

struct Range {
  Target* target;
  int64_t first, last;  // [first, last)
};

// "bytes 0-9/100" -> {0, 100}.
std::optional<std::pair<int64_t, int64_t>> ParseContentRange(std::string_view text) {
  if (!text.starts_with(kBytes)) return std::nullopt;
  text.remove_prefix(kBytes.size());
  int64_t first = 0, total = 0;
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto number = [](std::string_view digits, int64_t* value) {
    return std::from_chars(digits.data(), digits.data() + digits.size(), *value).ec == std::errc();
  };
  if (!number(text, &first) || !number(text.substr(slash + 1), &total)) return std::nullopt;
  return std::pair(first, total);
}

class Fetcher {
 public:
  Fetcher(const HubAccess& hub, std::deque<Target> targets, const PullEvents& events)
      : hub_(hub), events_(events), targets_(std::move(targets)) {
    for (Target& target : targets_)
      for (const auto& [first, last] : target.blob.MissingRanges(kRange))
        ranges_.push_back({&target, first, last});
  }

  // Fetches everything. done, total: bytes for the progress.
  Result<int64_t> Run(int64_t done, int64_t total) {
    {
      std::vector<std::jthread> workers;
      const size_t n = std::min<size_t>(kConnections, ranges_.size());
      running_ = n;
      for (size_t i = 0; i < n; ++i) workers.emplace_back([this] { Work(); });
      std::unique_lock lock(mutex_);
      while (running_ > 0) {
        changed_.wait_for(lock, std::chrono::milliseconds(100));
        const int64_t fetched = fetched_, written = written_;
        lock.unlock();
        if (events_.progress) events_.progress(done + written, total, fetched);
        lock.lock();
      }
    }
    if (error_) return std::unexpected(std::move(*error_));
    Status finished;  // the first fault; the other files are used nevertheless
    for (Target& target : targets_)
      if (Status one = target.blob.Finish(); !one && finished) finished = std::move(one);
    TRY(finished);
    return fetched_;
  }

 private:
  void Work() {
    Status fetched = FetchRanges();
    const std::lock_guard lock(mutex_);
    if (!fetched && !error_) error_ = std::move(fetched).error();
    --running_;
    changed_.notify_all();
  }

  Status FetchRanges() {
    try {
      HttpClient client;
      while (const std::optional<Range> range = Next()) TRY(Fetch(client, *range));
      return {};
    } catch (const std::bad_alloc&) {
      return Err("out of memory");
    }
  }

  std::optional<Range> Next() {
    const std::lock_guard lock(mutex_);
    while (!error_ && !ranges_.empty()) {
      const Range range = ranges_.front();
      ranges_.pop_front();
      if (!range.target->whole) return range;
    }
    return std::nullopt;
  }

  // One range on its way. [range.first, at) is written.
  struct Transfer {
    Range range;
    int64_t at;
    bool checked = false;      // the head of the present answer
    bool owns_whole = false;   // this worker fetches the whole file
    bool handed_over = false;  // another worker does
  };

  Status Fetch(HttpClient& client, const Range& range) {
    const HubFile& file = range.target->blob.file();
    Transfer transfer{.range = range, .at = range.first};
    Backoff backoff;
    while (transfer.at < transfer.range.last && !Failed()) {
      const int64_t before = transfer.at;
      transfer.checked = false;
      HttpRequest request{.url = file.url,
                          .headers = hub_.headers,
                          .stall_seconds = hub_.stall_seconds,
                          .stop = hub_.stop};
      if (transfer.at > 0 || transfer.range.last < file.size)
        request.headers.push_back(
            fmt::format("Range: bytes={}-{}", transfer.at, transfer.range.last - 1));
      request.sink = [&](const HttpResponse& head, std::string_view bytes) {
        return Take(head, bytes, &transfer);
      };
      auto response = client.Send(request);
      if (transfer.handed_over) return {};
      if (!response) return Within(file.path, response.error());
      if (response->ok() && transfer.at == transfer.range.last) return {};
      if (response->ok()) {  // a short body without a Content-Length
        response->status = 0;
        response->failure = "the connection ended early";
      }
      if (!response->transient())
        return Err("{}: {} ({})", file.path, response->Describe(), PublicUrl(file.url));
      if (transfer.at > before) backoff.Reset();
      if (!backoff.Wait(*response, events_.say, hub_.stop))
        return Err("{}: {} (tries: {}; {}); the fetched bytes are kept", file.path,
                   response->Describe(), backoff.tries(), PublicUrl(file.url));
    }
    return {};
  }

  // Writes bytes of an answer.
  Status Take(const HttpResponse& head, std::string_view bytes, Transfer* transfer) {
    const HubFile& file = transfer->range.target->blob.file();
    if (!transfer->checked) TRY(CheckHead(head, transfer));
    transfer->checked = true;
    const auto size = static_cast<int64_t>(bytes.size());
    if (transfer->at + size > transfer->range.last)
      return Err("{}: expected {} bytes, found more; the file changed on the hub", file.path,
                 file.size);
    Target& target = *transfer->range.target;
    TRY(target.blob.Write(transfer->at, bytes));
    transfer->at += size;
    const std::lock_guard lock(mutex_);
    TRY_ASSIGN(const int64_t marked, target.blob.MarkWritten(transfer->range.first, transfer->at));
    written_ += marked;
    fetched_ += size;
    return {};
  }

  // Checks that the answer has the asked bytes of the asked file.
  Status CheckHead(const HttpResponse& head, Transfer* transfer) {
    const HubFile& file = transfer->range.target->blob.file();
    if (head.Header("content-type").starts_with("text/html") && !file.path.ends_with(".html"))
      return Err("{}: expected the file, found an HTML page; does a proxy answer for {}?",
                 file.path, PublicUrl(file.url));
    if (head.status == 206) {
      if (ParseContentRange(head.Header("content-range")) == std::pair(transfer->at, file.size))
        return {};
      return Err(
          "{}: expected the bytes from {} on of {}, found Content-Range \"{}\"; the file "
          "changed on the hub",
          file.path, transfer->at, file.size, head.Header("content-range"));
    }
    if (transfer->at == 0 && transfer->range.last == file.size) return {};
    const std::lock_guard lock(mutex_);
    if (!transfer->owns_whole && std::exchange(transfer->range.target->whole, true)) {
      transfer->handed_over = true;
      return Err("{}: another connection fetches the whole file", file.path);
    }
    transfer->owns_whole = true;
    transfer->range.first = transfer->at = 0;
    transfer->range.last = file.size;
    return {};
  }

  bool Failed() {
    const std::lock_guard lock(mutex_);
    return error_.has_value();
  }

  const HubAccess& hub_;
  const PullEvents& events_;
  std::mutex mutex_;  // guards everything below, and the state of targets
  std::condition_variable changed_;
  std::deque<Target> targets_;
  std::deque<Range> ranges_;
  size_t running_ = 0;
  int64_t fetched_ = 0, written_ = 0;
  std::optional<Error> error_;
};

Status CheckDisk(const std::string& folder, int64_t bytes) {
  constexpr int64_t kReserve = int64_t{16} << 20;  // for the file system itself
  struct statvfs disk = {};
  if (statvfs(folder.c_str(), &disk) != 0) return {};
  const int64_t free = static_cast<int64_t>(disk.f_bavail) * static_cast<int64_t>(disk.f_frsize);
  if (bytes + kReserve <= free) return {};
  return Err("{}: expected {:.1f} MB of free disk, found {:.1f} MB", folder,
             static_cast<double>(bytes + kReserve) / 1e6, static_cast<double>(free) / 1e6);
}

}  // namespace

Result<int64_t> Download(const HubAccess& hub, const RepoCache& repo, const std::string& commit,
                         std::span<const HubFile> files, const PullEvents& events) {
  TRY(repo.MakeFolders(commit));
  // All pulls lock in the order of the blobs' names, so that two of them cannot wait for each
  // other.
  std::vector<const HubFile*> wanted;
  for (const HubFile& file : files) wanted.push_back(&file);
  std::ranges::sort(wanted, {}, &HubFile::hash);
  const auto same = std::ranges::unique(wanted, {}, &HubFile::hash);
  wanted.erase(same.begin(), same.end());

  std::vector<FileLock> locks;
  std::deque<Target> targets;
  int64_t total = 0, missing = 0;
  for (const HubFile* file : wanted) {
    total += file->size;
    if (repo.HasBlob(*file)) continue;
    TRY_ASSIGN(
        FileLock lock,
        FileLock::Take(
            repo.LockPath(*file),
            [&] {
              if (events.say)
                events.say(fmt::format("waiting for another program that fetches {}", file->path));
            },
            hub.stop));
    if (repo.HasBlob(*file)) continue;  // the other program has fetched it
    TRY_ASSIGN(Blob blob, Blob::Open(*file, repo.BlobPath(*file)));
    missing += blob.missing_bytes();
    targets.push_back({std::move(blob)});
    locks.push_back(std::move(lock));
  }
  TRY(CheckDisk(repo.folder(), missing));
  TRY_ASSIGN(const int64_t fetched,
             Fetcher(hub, std::move(targets), events).Run(total - missing, total));
  for (const HubFile& file : files) TRY(repo.Link(commit, file));
  return fetched;
}

}  // namespace merope
