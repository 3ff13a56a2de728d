#include "verify/kept_rows.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <limits>

namespace merope {
namespace {

// Few rows at a time, so that a slow source is stopped soon.
constexpr int64_t kKeptChunk = 16;
static_assert(kKeptChunk <= kLogitChunk);
constexpr auto kFloat = static_cast<int64_t>(sizeof(float));

// The file, and where it is, for errors.
Result<std::pair<int, std::string>> NewFile(const std::string& path) {
  if (!path.empty()) {
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (file < 0) return Err("{}: {}", path, std::strerror(errno));
    return std::pair{file, path};
  }
  const char* chosen = std::getenv("TMPDIR");
  const std::string place = chosen != nullptr && *chosen != '\0' ? chosen : "/var/tmp";
  std::string temporary = place + "/merope-logits-XXXXXX";
  const int file = ::mkostemp(temporary.data(), O_CLOEXEC);
  if (file < 0)
    return Err("{}: logits cannot be kept in a file there: {} (TMPDIR names another place)", place,
               std::strerror(errno));
  ::unlink(temporary.c_str());
  return std::pair{file, place + " (TMPDIR names another place)"};
}

}  // namespace

Result<std::unique_ptr<KeptRows>> KeptRows::Create(std::string name, const std::string& path,
                                                   int64_t vocab) {
  TRY_ASSIGN(auto file, NewFile(path));
  return std::unique_ptr<KeptRows>(
      new KeptRows(std::move(name), std::move(file.second), file.first, vocab));
}

Result<std::unique_ptr<KeptRows>> KeptRows::Open(
    std::string name, const std::string& path, int64_t vocab,
    std::span<const std::pair<std::string, int64_t>> positions) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return Err("{}: {}", path, std::strerror(errno));
  std::unique_ptr<KeptRows> kept(new KeptRows(std::move(name), path, file, vocab));
  const int64_t most = std::numeric_limits<int64_t>::max() / kFloat / vocab;
  for (const auto& [id, n] : positions) {
    if (n < 0 || n > most - kept->rows_)
      return Err("{}: prompt {}: expected fewer positions, found {}", path, id, n);
    kept->Begin(id);
    kept->kept_[id].second = kept->positions_.back().second = n;
    kept->rows_ += n;
  }
  struct stat status = {};
  const int64_t expected = kept->rows_ * vocab * kFloat;
  if (::fstat(file, &status) != 0 || status.st_size != expected)
    return Err("{}: expected {} bytes, found {}", path, expected, status.st_size);
  return kept;
}

KeptRows::~KeptRows() { ::close(file_); }

void KeptRows::Begin(const std::string& prompt_id) {
  kept_[prompt_id] = {rows_, 0};
  positions_.emplace_back(prompt_id, 0);
}

Status KeptRows::Append(std::span<const float> rows) {
  const std::span<const std::byte> bytes = std::as_bytes(rows);
  off_t at = rows_ * vocab_ * kFloat;
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t n = ::pwrite(file_, bytes.data() + done, bytes.size() - done, at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0)
      return Err("{}: logits cannot be kept in a file there: {}", place_,
                 n < 0 ? std::strerror(errno) : "no more is taken");
    done += static_cast<size_t>(n);
    at += n;
  }
  const int64_t n = std::ssize(rows) / vocab_;
  rows_ += n;
  positions_.back().second += n;
  kept_[positions_.back().first].second += n;
  return {};
}

Status KeptRows::Rows(const VerifyPrompt& prompt, int64_t begin, int64_t end,
                      std::span<float> rows) {
  const auto kept = kept_.find(prompt.id);
  if (kept == kept_.end() || end > kept->second.second)
    return Err("{}: prompt {}: expected the logits of {} positions, found {}", place_, prompt.id,
               end, kept == kept_.end() ? 0 : kept->second.second);
  CHECK(std::ssize(rows) == (end - begin) * vocab_);
  const off_t at = (kept->second.first + begin) * vocab_ * kFloat;
  const std::span<std::byte> bytes = std::as_writable_bytes(rows);
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t n =
        ::pread(file_, bytes.data() + done, bytes.size() - done, at + static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0)
      return Err("{}: logits kept in a file there cannot be read: {}", place_,
                 n < 0 ? std::strerror(errno) : "it has become shorter");
    done += static_cast<size_t>(n);
  }
  return {};
}

Result<std::unique_ptr<LogitSource>> KeepRows(LogitSource& source,
                                              std::span<const VerifyPrompt> prompts, int64_t vocab,
                                              const std::function<Status(int64_t)>& positions,
                                              const std::string& path) {
  TRY_ASSIGN(std::unique_ptr<KeptRows> kept, KeptRows::Create(source.name(), path, vocab));
  std::vector<float> rows;
  int64_t done = 0;
  for (const VerifyPrompt& prompt : prompts) {
    kept->Begin(prompt.id);
    const int64_t n = std::ssize(prompt.ids);
    for (int64_t begin = 0; begin < n; begin += kKeptChunk) {
      const int64_t end = std::min(n, begin + kKeptChunk);
      rows.resize(static_cast<size_t>((end - begin) * vocab));
      TRY(source.Rows(prompt, begin, end, rows));
      TRY(kept->Append(rows));
      TRY(positions(done += end - begin));
    }
  }
  return kept;
}

}  // namespace merope
