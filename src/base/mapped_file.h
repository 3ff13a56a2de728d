// A file mapped read-only into memory. Owns the mapping; used by the checkpoint readers on the
// loading thread.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "base/error.h"

namespace merope {

class MappedFile {
 public:
  // Errors name the path: missing, a directory, unreadable. An empty file maps to an empty span.
  static Result<MappedFile> Open(const std::string& path);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }

  // Tells the kernel that these bytes (a part of bytes()) are not needed any more; they may be read
  // again, from disk.
  void Drop(std::span<const std::byte> part) const;

 private:
  MappedFile() = default;
  std::string path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// The whole of a small file. Errors name the path; a file of more than max_bytes is refused.
Result<std::string> ReadFile(const std::string& path, size_t max_bytes = size_t{1} << 30);
// An error where path is there and is no regular file: a rename would put a file in a device's
// place.
Status CheckReplaceable(const std::string& path);
// Replaces the file at path in one step (written beside it, then renamed).
Status WriteFile(const std::string& path, std::string_view content);

}  // namespace merope
