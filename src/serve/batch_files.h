// The two files of a batch: requests, read line by line, and results, to which whole lines are
// added. Owned and used by one thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "base/stopwatch.h"

namespace merope {

// An open file; closed with it.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor();
  int get() const { return fd_; }

 private:
  int fd_;
};

// A file's lines, of any length, in bounded memory.
class LineReader {
 public:
  // Reads from where the descriptor stands; path names it in errors.
  LineReader(int fd, std::string path, size_t max_bytes);

  // Whether there is another line; then the following are about it.
  Result<bool> Next();
  const std::string& text() const { return text_; }  // without its line break; max_bytes at most
  int64_t number() const { return number_; }         // from 1 on
  int64_t begin() const { return begin_; }           // where in the file
  int64_t end() const { return end_; }
  bool cut() const { return cut_; }      // it is longer than text
  bool ended() const { return ended_; }  // by a line break
  bool has_nul() const { return has_nul_; }

 private:
  int fd_;
  std::string path_;
  size_t max_bytes_;
  std::string block_, text_;
  size_t at_ = 0;  // in block_
  int64_t number_ = 0, begin_ = 0, end_ = 0;
  bool cut_ = false, ended_ = false, has_nul_ = false;
};

// 128 bits of a custom_id's hash: what is kept of each line of a file that may have any number.
using IdHash = std::array<uint64_t, 2>;
IdHash HashId(std::string_view custom_id);
struct HashOfId {
  size_t operator()(const IdHash& hash) const { return hash[0]; }
};

// The results. A line is written whole, and reaches the disk within a second or so; what a crash
// leaves of a last one is dropped by the next Open.
class BatchResults {
 public:
  // Each line begins with this, an id of 32 digits, and kCustomId.
  static constexpr std::string_view kBegin = R"({"id":"batch-)", kCustomId = R"(","custom_id":)";
  static constexpr size_t kIdDigits = 32;

  // Makes the file where there is none. Refuses one that another run writes to, one that is the
  // same as `requests`, and one that has lines of another kind, without a change to it.
  static Result<BatchResults> Open(const std::string& path, int requests);

  // Of each custom_id with a result, and of each that the reader of the requests has put in: the
  // first line that has it; 0 for none so far.
  std::unordered_map<IdHash, int64_t, HashOfId>& first_lines() { return first_lines_; }
  // Lines of the requests that have no custom_id of their own, and a result.
  const std::unordered_set<int64_t>& refused_lines() const { return refused_lines_; }
  int64_t dropped_bytes() const { return dropped_bytes_; }

  // line: without its break.
  Status Write(std::string line);
  // What was written is on the disk.
  Status Sync();

 private:
  BatchResults(Descriptor file, std::string path)
      : file_(std::move(file)), path_(std::move(path)) {}
  Status ReadLines();
  Status ReadLine(const LineReader& line);

  Descriptor file_;
  std::string path_;
  std::unordered_map<IdHash, int64_t, HashOfId> first_lines_;
  std::unordered_set<int64_t> refused_lines_;
  int64_t dropped_bytes_ = 0;
  bool written_ = false;  // since the last Sync
  Stopwatch since_sync_;
};

}  // namespace merope
