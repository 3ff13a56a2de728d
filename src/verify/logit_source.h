// The interface of a source of logit rows. A source is a model on a back end, a file that another
// program wrote, or rows kept from an earlier pass. Used on the suite's thread.
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

// Consecutive positions of a source that gives only the most probable tokens. Each position has
// top_k tokens, in any order, with their logprobs. next_logprob is the logprob of the prompt's next
// token; for the last token of the prompt it is 0.
struct TopRows {
  std::vector<int32_t> ids;         // (positions, top_k)
  std::vector<float> logprobs;      // (positions, top_k)
  std::vector<float> next_logprob;  // (positions)
};

class LogitSource {
 public:
  virtual ~LogitSource() = default;
  virtual std::string name() const = 0;
  // The number of tokens that Top gives for a position; 0: the source has whole rows.
  virtual int64_t top_k() const { return 0; }
  virtual Result<TopRows> Top(const VerifyPrompt&, int64_t /*begin*/, int64_t /*end*/) {
    return Err("{}: has whole rows of logits", name());
  }
  // Fills rows, (end − begin, vocab), with the logits after each of the prompt's tokens [begin,
  // end). The caller must read a prompt in order, from position 0 on, before it reads the next
  // prompt.
  virtual Status Rows(const VerifyPrompt& prompt, int64_t begin, int64_t end,
                      std::span<float> rows) = 0;
};

// The largest number of rows that the suite reads in one call of Rows.
inline constexpr int64_t kLogitChunk = 64;

// Returns a source that owns a newly loaded model and runs the model teacher-forced on the prompts.
// kv_tokens: the number of tokens of the longest prompt. rounding and rounding_seed
// (BackendOptions): only for the reference. The error is that of LoadRuntime.
Result<std::unique_ptr<LogitSource>> LoadLogitSource(const Checkpoint& checkpoint,
                                                     std::string_view backend, Precision precision,
                                                     KvStorage kv, int threads, int64_t kv_tokens,
                                                     OpRounding rounding = OpRounding::kNone,
                                                     uint64_t rounding_seed = 0);

}  // namespace merope
