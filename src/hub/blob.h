// A blob of the cache while it is fetched. Its bytes lie in BLOB.merope-part; BLOB.merope-done has
// one byte per MiB, '1' once that MiB is written, so that a pull that was killed goes on where it
// was. Workers call Write; one thread at a time calls the other functions.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/stop.h"
#include "hub/listing.h"

namespace merope {

class Blob {
 public:
  static constexpr int64_t kPiece = int64_t{1} << 20;  // bytes

  // Takes up what an earlier pull left. The caller holds the lock of the blob.
  static Result<Blob> Open(const HubFile& file, const std::string& path);
  Blob(Blob&& other) noexcept;
  Blob& operator=(Blob&&) = delete;
  ~Blob();

  const HubFile& file() const { return file_; }
  int64_t missing_bytes() const;
  // The missing bytes, as ranges [first, last) of at most `most` bytes that begin at a piece.
  std::vector<std::pair<int64_t, int64_t>> MissingRanges(int64_t most) const;

  // Writes bytes at an offset.
  Status Write(int64_t offset, std::string_view bytes) const;
  // Marks the pieces that lie wholly in [first, last) as written; first is the beginning of a
  // piece. Returns the bytes of those that were not marked before.
  Result<int64_t> MarkWritten(int64_t first, int64_t last);

  // Checks the hash and moves the file to its name. If the hash differs, the bytes are removed.
  Status Finish();

 private:
  Blob(HubFile file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}
  std::unexpected<Error> Fault(const char* what) const;
  Status Forget();
  int64_t PieceEnd(size_t piece) const;

  HubFile file_;
  std::string path_;
  int bytes_ = -1, done_ = -1;  // file descriptors
  std::vector<char> pieces_;    // what the file of done pieces holds
};

// flock on a file, for as long as the object lives. Any process that locks the same file, such as
// huggingface_hub, waits.
class FileLock {
 public:
  // waiting: called once if another process has the lock. On a file system without locks there is
  // no lock: the hash of the contents still decides. stop: ends the wait with an error.
  static Result<FileLock> Take(const std::string& path, const std::function<void()>& waiting,
                               const StopFlag& stop = {});
  FileLock(FileLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  FileLock& operator=(FileLock&&) = delete;
  ~FileLock();

 private:
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

}  // namespace merope
