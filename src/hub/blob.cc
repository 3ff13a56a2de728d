#include "hub/blob.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <thread>

#include "base/digest.h"

namespace merope {
namespace {

constexpr char kWritten = '1';

// pwrite until all is written.
bool WriteAll(int descriptor, std::string_view bytes, int64_t offset) {
  while (!bytes.empty()) {
    const ssize_t written = pwrite(descriptor, bytes.data(), bytes.size(), offset);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    offset += written;
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

// Adds the contents of the open file. False: a read failed.
bool AddContents(int descriptor, Digest& digest) {
  std::vector<std::byte> buffer(size_t{1} << 20);
  for (int64_t offset = 0;;) {
    const ssize_t got = pread(descriptor, buffer.data(), buffer.size(), offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return false;
    if (got == 0) return true;
    digest.Add(std::span(buffer).first(static_cast<size_t>(got)));
    offset += got;
  }
}

}  // namespace

Result<Blob> Blob::Open(const HubFile& file, const std::string& path) {
  Blob blob(file, path);
  const std::string part = path + ".merope-part", done = path + ".merope-done";
  blob.bytes_ = open(part.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (blob.bytes_ < 0) return blob.Fault("cannot write");
  blob.done_ = open(done.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (blob.done_ < 0) return blob.Fault("cannot write");
  const auto n_pieces = static_cast<size_t>((file.size + kPiece - 1) / kPiece);
  struct stat found = {};
  if (fstat(blob.bytes_, &found) != 0) return blob.Fault("cannot read");
  blob.pieces_.assign(n_pieces, '\0');
  if (found.st_size == file.size) {
    const ssize_t got = pread(blob.done_, blob.pieces_.data(), n_pieces, 0);
    if (got < 0) return blob.Fault("cannot read");
  } else if (ftruncate(blob.done_, 0) != 0 || ftruncate(blob.bytes_, file.size) != 0) {
    return blob.Fault("cannot write");
  }
  return blob;
}

Blob::Blob(Blob&& other) noexcept
    : file_(std::move(other.file_)),
      path_(std::move(other.path_)),
      bytes_(std::exchange(other.bytes_, -1)),
      done_(std::exchange(other.done_, -1)),
      pieces_(std::move(other.pieces_)) {}

Blob::~Blob() {
  if (bytes_ >= 0) close(bytes_);
  if (done_ >= 0) close(done_);
}

int64_t Blob::PieceEnd(size_t piece) const {
  return std::min(static_cast<int64_t>(piece + 1) * kPiece, file_.size);
}

int64_t Blob::missing_bytes() const {
  int64_t bytes = 0;
  for (size_t i = 0; i < pieces_.size(); ++i)
    if (pieces_[i] != kWritten) bytes += PieceEnd(i) - static_cast<int64_t>(i) * kPiece;
  return bytes;
}

std::vector<std::pair<int64_t, int64_t>> Blob::MissingRanges(int64_t most) const {
  std::vector<std::pair<int64_t, int64_t>> ranges;
  for (size_t i = 0; i < pieces_.size(); ++i) {
    if (pieces_[i] == kWritten) continue;
    const int64_t first = static_cast<int64_t>(i) * kPiece, last = PieceEnd(i);
    if (!ranges.empty() && ranges.back().second == first && last - ranges.back().first <= most)
      ranges.back().second = last;
    else
      ranges.emplace_back(first, last);
  }
  return ranges;
}

Status Blob::Write(int64_t offset, std::string_view bytes) const {
  if (!WriteAll(bytes_, bytes, offset)) return Fault("cannot write");
  return {};
}

Result<int64_t> Blob::MarkWritten(int64_t first, int64_t last) {
  // All pieces before the last one that is marked already are marked too, so the search goes
  // backwards.
  const size_t begin = static_cast<size_t>(first / kPiece);
  const size_t end = last == file_.size ? pieces_.size() : static_cast<size_t>(last / kPiece);
  int64_t bytes = 0;
  for (size_t i = end; i > begin && pieces_[i - 1] != kWritten; --i) {
    const size_t piece = i - 1;
    if (!WriteAll(done_, {&kWritten, 1}, static_cast<int64_t>(piece))) return Fault("cannot write");
    pieces_[piece] = kWritten;
    bytes += PieceEnd(piece) - static_cast<int64_t>(piece) * kPiece;
  }
  return bytes;
}

Status Blob::Finish() {
  Sha256 sha256;
  Sha1 sha1;
  const bool git = file_.hash_kind == HubFile::Hash::kGitSha1;
  Digest& digest = git ? static_cast<Digest&>(sha1) : sha256;
  if (git) {
    const std::string head = fmt::format("blob {}", file_.size);
    digest.Add(std::as_bytes(std::span(head.c_str(), head.size() + 1)));
  }
  if (!AddContents(bytes_, digest)) return Fault("cannot read");
  const std::string found = digest.Hex();
  if (found != file_.hash) {
    TRY(Forget());
    return Err(
        "{}: expected {} {}, found {}; the file changed on the hub or on its way, and is "
        "not used",
        file_.path, git ? "the git blob" : "sha256", file_.hash, found);
  }
  if (fsync(bytes_) != 0 || std::rename((path_ + ".merope-part").c_str(), path_.c_str()) != 0)
    return Fault("cannot write");
  std::remove((path_ + ".merope-done").c_str());
  return {};
}

Status Blob::Forget() {
  pieces_.assign(pieces_.size(), '\0');
  if (ftruncate(done_, 0) != 0) return Fault("cannot write");
  return {};
}

std::unexpected<Error> Blob::Fault(const char* what) const {
  return Err("{}: {}: {}", path_, what, std::strerror(errno));
}

Result<FileLock> FileLock::Take(const std::string& path, const std::function<void()>& waiting,
                                const StopFlag& stop) {
  const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor < 0) return Err("{}: cannot open: {}", path, std::strerror(errno));
  FileLock lock(descriptor);
  if (flock(descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return lock;
  waiting();
  while (stop.armed() && flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return lock;
    TRY(stop.Check());
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  while (!stop.armed() && flock(descriptor, LOCK_EX) != 0 && errno == EINTR) {
  }
  return lock;
}

FileLock::~FileLock() {
  if (descriptor_ >= 0) close(descriptor_);
}

}  // namespace merope
