// Where rows of logits come from: a model on some back end, a file that another program wrote, or
// rows kept from an earlier pass. Used by the suite's thread.
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

// What is known of consecutive positions from a source that gives only the most probable tokens:
// top_k of them each, in any order, with their log-probabilities, and that of the token that
// follows in the prompt (of the last one: 0, nothing follows).
struct TopRows {
  std::vector<int32_t> ids;         // (positions, top_k)
  std::vector<float> logprobs;      // (positions, top_k)
  std::vector<float> next_logprob;  // (positions)
};

class LogitSource {
 public:
  virtual ~LogitSource() = default;
  virtual std::string name() const = 0;
  // Tokens that Top gives of a position; 0: this source has whole rows.
  virtual int64_t top_k() const { return 0; }
  virtual Result<TopRows> Top(const VerifyPrompt&, int64_t /*begin*/, int64_t /*end*/) {
    return Err("{}: has whole rows of logits", name());
  }
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

}  // namespace merope
