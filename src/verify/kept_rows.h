// Keeps rows of logits in a file, so that the suite can free a model before the suite needs its
// rows, or so that a bundle has them (bundle.h). Called on the suite's thread.
//
// The file has the rows of the prompts in their order, (positions, vocab) floats of each prompt,
// little-endian, and nothing else.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "verify/logit_source.h"
#include "verify/prompts.h"

namespace merope {

// A source whose rows lie in such a file.
class KeptRows : public LogitSource {
 public:
  // path: empty for an unnamed (unlinked) file in $TMPDIR, or in /var/tmp; not in /tmp, which may
  // be in memory. name: of the source.
  static Result<std::unique_ptr<KeptRows>> Create(std::string name, const std::string& path,
                                                  int64_t vocab);
  // Opens a file with the rows of so many positions of each prompt. Error: another size.
  static Result<std::unique_ptr<KeptRows>> Open(
      std::string name, const std::string& path, int64_t vocab,
      std::span<const std::pair<std::string, int64_t>> positions);
  ~KeptRows() override;
  KeptRows(const KeptRows&) = delete;
  KeptRows& operator=(const KeptRows&) = delete;

  std::string name() const override { return name_; }
  // The next calls of Append write the rows of this prompt.
  void Begin(const std::string& prompt_id);
  Status Append(std::span<const float> rows);
  // The prompts and the positions that were appended, in their order.
  const std::vector<std::pair<std::string, int64_t>>& positions() const { return positions_; }

  Status Rows(const VerifyPrompt& prompt, int64_t begin, int64_t end,
              std::span<float> rows) override;

 private:
  KeptRows(std::string name, std::string place, int file, int64_t vocab)
      : name_(std::move(name)), place_(std::move(place)), file_(file), vocab_(vocab) {}

  std::string name_, place_;
  int file_;
  int64_t vocab_;
  std::vector<std::pair<std::string, int64_t>> positions_;
  std::map<std::string, std::pair<int64_t, int64_t>> kept_;  // id → first row, positions
  int64_t rows_ = 0;
};

// Reads the rows of all prompts from `source` and writes them to a file. Returns a source that
// reads the same rows from the file. KeepRows calls `positions` after each chunk, with the number
// of positions done so far; its error ends the work. Errors: the file cannot be created, written or
// read; errors of `source`.
Result<std::unique_ptr<LogitSource>> KeepRows(LogitSource& source,
                                              std::span<const VerifyPrompt> prompts, int64_t vocab,
                                              const std::function<Status(int64_t)>& positions,
                                              const std::string& path = "");

}  // namespace merope
