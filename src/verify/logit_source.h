// Where rows of logits come from: a model on some back end, or rows kept from an earlier pass. Used
// by the suite's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine/load.h"
#include "verify/prompts.h"

namespace merope {

class LogitSource {
 public:
  virtual ~LogitSource() = default;
  virtual std::string name() const = 0;
  // rows (end − begin, vocab): the logits after each of the prompt's tokens [begin, end). A prompt
  // is read from position 0 on, in order, before the next one.
  virtual Status Rows(const VerifyPrompt& prompt, int64_t begin, int64_t end,
                      std::span<float> rows) = 0;
};

// Rows at a time that the suite asks for.
inline constexpr int64_t kLogitChunk = 64;

// A model of its own, teacher-forced on the prompts. kv_tokens: the longest prompt.
Result<std::unique_ptr<LogitSource>> LoadLogitSource(const Checkpoint& checkpoint,
                                                     BackendKind backend, Precision precision,
                                                     KvStorage kv, int threads, int64_t kv_tokens);

// All rows of some prompts, kept in memory: rows[prompt] is (positions, vocab).
Result<std::vector<std::vector<float>>> CollectRows(LogitSource& source,
                                                    std::span<const VerifyPrompt> prompts,
                                                    int64_t vocab,
                                                    const std::function<void(int64_t)>& positions);

}  // namespace merope
