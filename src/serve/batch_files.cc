#include "serve/batch_files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <span>

#include "base/digest.h"
#include "base/json.h"

namespace merope {
namespace {

constexpr size_t kBlock = size_t{1} << 18;
constexpr size_t kResultHead = size_t{1} << 16;  // bytes of a result line; contain its custom_id
constexpr double kSyncSeconds = 1;

// Writes the directory of a new file to the disk, so that the file's name is on the disk. Ignores
// errors, because some file systems cannot sync a directory.
void SyncDirectoryOf(const std::string& path) {
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  const Descriptor directory(
      open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() >= 0) fsync(directory.get());
}

// Whether a crash left the line incomplete. Such a line begins like a result and has no line break,
// or has zero bytes: the file had its new size on the disk, but not yet its content.
bool IsTorn(const LineReader& line) {
  if (line.ended() && !line.has_nul()) return false;
  const std::string_view text = std::string_view(line.text()).substr(0, line.text().find('\0'));
  return text.starts_with(BatchResults::kBegin) || BatchResults::kBegin.starts_with(text);
}

}  // namespace

Descriptor::~Descriptor() {
  if (fd_ >= 0) close(fd_);
}

LineReader::LineReader(int fd, std::string path, size_t max_bytes)
    : fd_(fd), path_(std::move(path)), max_bytes_(max_bytes) {}

Result<bool> LineReader::Next() {
  text_.clear();
  begin_ = end_;
  cut_ = ended_ = has_nul_ = false;
  ++number_;
  while (!ended_) {
    if (at_ == block_.size()) {
      block_.resize(kBlock);
      const ssize_t n = read(fd_, block_.data(), block_.size());
      block_.resize(n > 0 ? static_cast<size_t>(n) : 0);
      at_ = 0;
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return Err("{}: {}", path_, std::strerror(errno));
      if (n == 0) return end_ > begin_;
    }
    std::string_view piece = std::string_view(block_).substr(at_);
    const size_t line_break = piece.find('\n');
    ended_ = line_break != piece.npos;
    piece = piece.substr(0, line_break);
    at_ += piece.size() + (ended_ ? 1 : 0);
    end_ += std::ssize(piece) + (ended_ ? 1 : 0);
    has_nul_ = has_nul_ || piece.contains('\0');
    const size_t room = max_bytes_ - text_.size();
    cut_ = cut_ || piece.size() > room;
    text_ += piece.substr(0, room);
  }
  return true;
}

IdHash HashId(std::string_view custom_id) {
  Sha256 sha;
  sha.Add(std::as_bytes(std::span(custom_id)));
  const std::string hex = sha.Hex();
  IdHash hash = {};
  for (size_t i = 0; i < hash.size(); ++i)
    std::from_chars(hex.data() + 16 * i, hex.data() + 16 * (i + 1), hash[i], 16);
  return hash;
}

Result<BatchResults> BatchResults::Open(const std::string& path, int requests) {
  Descriptor file(open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
  struct stat found = {}, other = {};
  if (file.get() < 0 || fstat(file.get(), &found) != 0)
    return Err("{}: {}", path, std::strerror(errno));
  if (!S_ISREG(found.st_mode)) return Err("{}: expected a file, found something else", path);
  if (fstat(requests, &other) == 0 && found.st_dev == other.st_dev && found.st_ino == other.st_ino)
    return Err("{}: expected another file than that of the requests", path);
  if (flock(file.get(), LOCK_EX | LOCK_NB) != 0)
    return Err("{}: {}", path,
               errno == EWOULDBLOCK ? "another run is writing to it" : std::strerror(errno));
  SyncDirectoryOf(path);
  BatchResults results(std::move(file), path);
  TRY(results.ReadLines());
  return results;
}

Status BatchResults::ReadLines() {
  LineReader line(file_.get(), path_, kResultHead);
  while (true) {
    TRY_ASSIGN(const bool more, line.Next());
    if (!more) return {};
    if (!IsTorn(line)) {
      TRY(ReadLine(line));
      continue;
    }
    // Lines after a line with zero bytes were written later. They are removed as well.
    struct stat found = {};
    if (fstat(file_.get(), &found) != 0 || ftruncate(file_.get(), line.begin()) != 0)
      return Err("{}: {}", path_, std::strerror(errno));
    dropped_bytes_ = found.st_size - line.begin();
    return {};
  }
}

Status BatchResults::ReadLine(const LineReader& line) {
  const auto other = [&] {
    return Err(
        "{}: line {}: expected a result of a batch, as merope writes them, found something else",
        path_, line.number());
  };
  std::string_view text = line.text();
  if (!text.starts_with(kBegin)) return other();
  text.remove_prefix(std::min(kBegin.size() + kIdDigits, text.size()));
  if (!text.starts_with(kCustomId)) return other();
  text.remove_prefix(kCustomId.size());
  if (text.starts_with('"')) {
    size_t end = 1;
    while (end < text.size() && text[end] != '"') end += text[end] == '\\' ? 2 : 1;
    const Result<Json> custom_id = ParseJson(text.substr(0, end + 1), path_);
    if (!custom_id) return other();
    first_lines_.try_emplace(HashId(custom_id->get_ref<const std::string&>()), 0);
    return {};
  }
  const Result<Json> result = ParseJson(line.text(), path_);
  const Json* error = result ? JsonFields(*result, "").Find("error") : nullptr;
  const auto number = error != nullptr ? JsonFields(*error, "").Integer("line", 1, INT64_MAX)
                                       : Result<std::optional<int64_t>>(std::nullopt);
  if (!number || !*number) return other();
  refused_lines_.insert(**number);
  return {};
}

Status BatchResults::Write(std::string line) {
  line += '\n';
  std::string_view left = line;
  while (!left.empty()) {
    const ssize_t n = write(file_.get(), left.data(), left.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Err("{}: {}", path_, std::strerror(errno));
    left.remove_prefix(static_cast<size_t>(n));
  }
  written_ = true;
  return since_sync_.Seconds() < kSyncSeconds ? Status() : Sync();
}

Status BatchResults::Sync() {
  since_sync_ = {};
  if (std::exchange(written_, false) && fdatasync(file_.get()) != 0)
    return Err("{}: {}", path_, std::strerror(errno));
  return {};
}

}  // namespace merope
