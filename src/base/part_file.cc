#include "base/part_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

namespace merope {

Result<PartFile> PartFile::Create(const std::string& path) {
  struct stat found = {};
  if (stat(path.c_str(), &found) == 0 && !S_ISREG(found.st_mode))
    return Err("{}: expected a file or nothing, found {}", path,
               S_ISDIR(found.st_mode) ? "a directory" : "something else");
  PartFile part(path);
  part.descriptor_ = open(part.part_path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (part.descriptor_ < 0) return part.Fault();
  return part;
}

PartFile::PartFile(PartFile&& other) noexcept
    : path_(std::move(other.path_)),
      part_path_(std::move(other.part_path_)),
      descriptor_(std::exchange(other.descriptor_, -1)) {}

PartFile::~PartFile() {
  if (descriptor_ < 0) return;
  close(descriptor_);
  std::remove(part_path_.c_str());
}

Status PartFile::WriteAt(int64_t offset, std::span<const std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t written = pwrite(descriptor_, bytes.data(), bytes.size(), offset);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return Fault();
    offset += written;
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return {};
}

Status PartFile::Finish() {
  if (close(std::exchange(descriptor_, -1)) != 0 ||
      std::rename(part_path_.c_str(), path_.c_str()) != 0) {
    auto fault = Fault();
    std::remove(part_path_.c_str());
    return fault;
  }
  return {};
}

std::unexpected<Error> PartFile::Fault() const {
  return Err("{}: cannot write: {}", path_, std::strerror(errno));
}

}  // namespace merope
