#include "verify/kept_rows.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace merope {
namespace {

// Few rows at a time, so that a slow source is stopped soon.
constexpr int64_t kKeptChunk = 16;
static_assert(kKeptChunk <= kLogitChunk);

class KeptRows : public LogitSource {
 public:
  KeptRows(std::string name, std::string place, int file, int64_t vocab)
      : name_(std::move(name)), place_(std::move(place)), file_(file), vocab_(vocab) {}
  KeptRows(const KeptRows&) = delete;
  KeptRows& operator=(const KeptRows&) = delete;
  ~KeptRows() override { ::close(file_); }

  std::string name() const override { return name_; }

  Status Append(std::span<const float> rows) {
    const std::span<const std::byte> bytes = std::as_bytes(rows);
    for (size_t done = 0; done < bytes.size();) {
      const ssize_t n = ::pwrite(file_, bytes.data() + done, bytes.size() - done, end_);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0)
        return Err("{}: logits cannot be kept in a file there: {} (TMPDIR names another place)",
                   place_, n < 0 ? std::strerror(errno) : "no more is taken");
      done += static_cast<size_t>(n);
      end_ += n;
    }
    return {};
  }

  // The next calls of Append write the rows of this prompt.
  void Begin(const VerifyPrompt& prompt) { begin_[prompt.id] = end_; }

  Status Rows(const VerifyPrompt& prompt, int64_t begin, int64_t end,
              std::span<float> rows) override {
    CHECK(std::ssize(rows) == (end - begin) * vocab_ && begin_.contains(prompt.id));
    const off_t at = begin_[prompt.id] + begin * vocab_ * static_cast<off_t>(sizeof(float));
    const std::span<std::byte> bytes = std::as_writable_bytes(rows);
    for (size_t done = 0; done < bytes.size();) {
      const ssize_t n =
          ::pread(file_, bytes.data() + done, bytes.size() - done, at + static_cast<off_t>(done));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0)
        return Err("{}: logits kept in a file there cannot be read: {}", place_,
                   n < 0 ? std::strerror(errno) : "it has become shorter");
      done += static_cast<size_t>(n);
    }
    return {};
  }

 private:
  std::string name_, place_;
  int file_;
  int64_t vocab_;
  std::map<std::string, off_t> begin_;  // prompt id → offset in bytes of the prompt's first row
  off_t end_ = 0;
};

}  // namespace

Result<std::unique_ptr<LogitSource>> KeepRows(LogitSource& source,
                                              std::span<const VerifyPrompt> prompts, int64_t vocab,
                                              const std::function<Status(int64_t)>& positions) {
  const char* chosen = std::getenv("TMPDIR");
  const std::string place = chosen != nullptr && *chosen != '\0' ? chosen : "/var/tmp";
  std::string path = place + "/merope-logits-XXXXXX";
  const int file = ::mkostemp(path.data(), O_CLOEXEC);
  if (file < 0)
    return Err("{}: logits cannot be kept in a file there: {} (TMPDIR names another place)", place,
               std::strerror(errno));
  ::unlink(path.c_str());
  auto kept = std::make_unique<KeptRows>(source.name(), place, file, vocab);
  std::vector<float> rows;
  int64_t done = 0;
  for (const VerifyPrompt& prompt : prompts) {
    kept->Begin(prompt);
    const int64_t n = std::ssize(prompt.ids);
    for (int64_t begin = 0; begin < n; begin += kKeptChunk) {
      const int64_t end = std::min(n, begin + kKeptChunk);
      rows.resize(static_cast<size_t>((end - begin) * vocab));
      TRY(source.Rows(prompt, begin, end, rows));
      TRY(kept->Append(rows));
      TRY(positions(done += end - begin));
    }
  }
  return kept;
}

}  // namespace merope
