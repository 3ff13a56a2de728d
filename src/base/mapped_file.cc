#include "base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/part_file.h"

namespace merope {
namespace {

// Closes a descriptor at the end of its scope.
struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};

Result<size_t> RegularFileSize(int fd, const std::string& path) {
  struct stat status;
  if (fstat(fd, &status) != 0) return Err("{}: cannot stat: {}", path, std::strerror(errno));
  if (S_ISDIR(status.st_mode)) return Err("{}: expected a file, found a directory", path);
  if (!S_ISREG(status.st_mode)) return Err("{}: expected a regular file", path);
  return static_cast<size_t>(status.st_size);
}

}  // namespace

Result<MappedFile> MappedFile::Open(const std::string& path) {
  Descriptor descriptor{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (descriptor.fd < 0) return Err("{}: cannot open: {}", path, std::strerror(errno));
  TRY_ASSIGN(const size_t size, RegularFileSize(descriptor.fd, path));
  MappedFile file;
  file.path_ = path;
  file.size_ = size;
  if (size > 0) {
    void* data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor.fd, 0);
    if (data == MAP_FAILED)
      return Err("{}: cannot map {} bytes: {}", path, size, std::strerror(errno));
    file.data_ = static_cast<const std::byte*>(data);
  }
  return file;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::Drop(std::span<const std::byte> part) const {
  // Drops only whole pages inside the part: the bytes next to the part may still be needed.
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t begin = (static_cast<size_t>(part.data() - data_) + page - 1) / page * page;
  const size_t end = (static_cast<size_t>(part.data() - data_) + part.size()) / page * page;
  if (begin < end) madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);
}

Result<std::string> ReadFile(const std::string& path, size_t max_bytes) {
  Descriptor descriptor{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (descriptor.fd < 0) return Err("{}: cannot open: {}", path, std::strerror(errno));
  TRY_ASSIGN(const size_t size, RegularFileSize(descriptor.fd, path));
  if (size > max_bytes) return Err("{}: {} bytes, expected at most {}", path, size, max_bytes);
  std::string content(size, '\0');
  size_t done = 0;
  while (done < size) {
    const ssize_t got = read(descriptor.fd, content.data() + done, size - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Err("{}: cannot read: {}", path, std::strerror(errno));
    if (got == 0) return Err("{}: expected {} bytes, found {}", path, size, done);
    done += static_cast<size_t>(got);
  }
  return content;
}

Status WriteFile(const std::string& path, std::string_view content) {
  TRY_ASSIGN(PartFile file, PartFile::Create(path));
  TRY(file.WriteAt(0, std::as_bytes(std::span(content))));
  return file.Finish();
}

}  // namespace merope
