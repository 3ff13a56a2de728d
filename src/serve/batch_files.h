// The two files of a batch. LineReader reads the requests line by line. BatchResults appends whole
// lines to the results. Owned and used by the thread that runs the batch.
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

// Owns a file descriptor. The destructor closes the descriptor.
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

// Reads the lines of a file, of any length, in bounded memory.
class LineReader {
 public:
  // Reads from the current position of the descriptor, which the caller owns. Errors name path.
  LineReader(int fd, std::string path, size_t max_bytes);

  // Reads the next line. Returns false at the end of the file. After true, the functions below
  // describe this line.
  Result<bool> Next();
  const std::string& text() const { return text_; }  // no line break; at most max_bytes
  int64_t number() const { return number_; }         // of the line, from 1
  int64_t begin() const { return begin_; }           // byte offset, from the first byte read
  int64_t end() const { return end_; }
  bool cut() const { return cut_; }      // the line is longer than text()
  bool ended() const { return ended_; }  // a line break ends the line
  bool has_nul() const { return has_nul_; }

 private:
  int fd_;
  std::string path_;
  size_t max_bytes_;
  std::string block_, text_;
  size_t at_ = 0;  // the next unread byte of block_
  int64_t number_ = 0, begin_ = 0, end_ = 0;
  bool cut_ = false, ended_ = false, has_nul_ = false;
};

// 128 bits of the SHA-256 of a custom_id. A file can have any number of lines, so the batch keeps
// only this hash of each custom_id.
using IdHash = std::array<uint64_t, 2>;
IdHash HashId(std::string_view custom_id);
struct HashOfId {
  size_t operator()(const IdHash& hash) const { return hash[0]; }
};

// The results file. Write appends a whole line. A line reaches the disk within about one second,
// while lines are written. A crash can leave an incomplete last line; the next Open removes the
// incomplete line.
class BatchResults {
 public:
  // Each line begins with kBegin, an id of 32 digits, and kCustomId.
  static constexpr std::string_view kBegin = R"({"id":"batch-)", kCustomId = R"(","custom_id":)";
  static constexpr size_t kIdDigits = 32;

  // Opens the file, or creates an absent file. Refuses a file that another run writes to, the file
  // of the descriptor `requests`, and a file with lines that are not results of a batch. Does not
  // change a refused file.
  static Result<BatchResults> Open(const std::string& path, int requests);

  // Maps a custom_id to the number of the first line of the requests that has this custom_id. Open
  // inserts each custom_id of the results with line 0. The reader of the requests inserts new
  // custom_ids and sets the line numbers.
  std::unordered_map<IdHash, int64_t, HashOfId>& first_lines() { return first_lines_; }
  // The numbers of the lines of the requests that have a result but no usable custom_id.
  const std::unordered_set<int64_t>& refused_lines() const { return refused_lines_; }
  int64_t dropped_bytes() const { return dropped_bytes_; }

  // line: without a line break.
  Status Write(std::string line);
  // Waits until all written lines are on the disk.
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
  bool written_ = false;  // a line was written since the last Sync
  Stopwatch since_sync_;
};

}  // namespace merope
