// PartFile writes a file under a temporary name (path + ".part"). Finish renames the complete file
// to its path in one step. If Finish fails or the owner never calls Finish, the temporary file is
// removed. WriteFile and the safetensors writer use PartFile. Any thread may call WriteAt; only one
// thread at a time may call the other functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/error.h"

namespace merope {

class PartFile {
 public:
  // Errors name the path. Create returns an error if the path exists and is not a regular file: the
  // rename would replace a device by a file.
  static Result<PartFile> Create(const std::string& path);
  PartFile(PartFile&& other) noexcept;
  PartFile& operator=(PartFile&& other) = delete;
  ~PartFile();

  // Writes at any offset, in any order, on any thread.
  Status WriteAt(int64_t offset, std::span<const std::byte> bytes) const;
  Status Finish();

 private:
  explicit PartFile(const std::string& path) : path_(path), part_path_(path + ".part") {}
  std::unexpected<Error> Fault() const;  // the error of the last system call (errno)
  std::string path_, part_path_;
  int descriptor_ = -1;
};

}  // namespace merope
