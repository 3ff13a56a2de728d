// MappedFile maps a file read-only into memory and owns the mapping. The readers of checkpoints,
// logits files and licences use MappedFile. ReadFile and WriteFile handle small files as a whole.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "base/error.h"

namespace merope {

class MappedFile {
 public:
  // Errors name the path. A missing file, a directory and an unreadable file are errors. An empty
  // file gives an empty span.
  static Result<MappedFile> Open(const std::string& path);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }

  // Tells the kernel that the pages of `part` are no longer needed. Drop affects only the pages
  // that lie wholly inside `part`, and `part` must lie inside bytes(). A later access reads these
  // pages from the file again.
  void Drop(std::span<const std::byte> part) const;

 private:
  MappedFile() = default;
  std::string path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// Returns the content of a small file. Errors name the path. A file of more than max_bytes is an
// error.
Result<std::string> ReadFile(const std::string& path, size_t max_bytes = size_t{1} << 30);
// Replaces the file at path in one step: writes a new file beside the old file, then renames the
// new file.
Status WriteFile(const std::string& path, std::string_view content);

}  // namespace merope
