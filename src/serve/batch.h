// A batch: a file of requests in OpenAI's batch format and a file of their results. A request is a
// JSON object on one line: {custom_id, method, url, body}. A result is written when its request
// ends. A batch that stopped can run again: the new run does the requests that have no result, so
// each custom_id gets exactly one line in the results. Called by `merope batch`. The caller's
// thread reads, submits and writes; the engine's thread computes at the same time.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/error.h"
#include "engine/engine.h"
#include "serve/batch_files.h"
#include "serve/served_model.h"

namespace merope {

struct BatchCounts {
  int64_t answered = 0;  // result lines that this run wrote
  int64_t failed = 0;    // answered lines that report an error
  int64_t before = 0;    // requests whose results an earlier run wrote
  // cached_tokens: prompt tokens that the prefix cache held.
  int64_t prompt_tokens = 0, cached_tokens = 0, generated_tokens = 0;
  int64_t bytes_done = 0;  // bytes of the requests file whose lines are done
};

struct BatchOptions {
  // The engine's max_num_seqs. The batch keeps about 2 · max_num_seqs sequences in the engine. One
  // request counts as at most max_num_seqs / 2 sequences.
  int64_t max_num_seqs = 256;
  const std::atomic<bool>* interrupted = nullptr;
  std::function<void(const BatchCounts& so_far)> progress;  // called often, on the caller's thread
};

class Batch {
 public:
  // Opens both files and reads the custom_ids of the results. An error names the file and the
  // reason.
  static Result<Batch> Open(const std::string& requests, const std::string& results);

  int64_t bytes() const { return bytes_; }  // size of the requests file; 0 for a pipe
  // Size of the incomplete last result of a crashed run. Open removed these bytes.
  int64_t dropped_bytes() const { return results_.dropped_bytes(); }

  // Runs to the end of the requests, or until interrupted. When interrupted, Run writes the results
  // of the requests that have ended, and returns. Another run does the remaining requests.
  Result<BatchCounts> Run(Engine& engine, const ServedModel& model, const BatchOptions& options);

 private:
  Batch(Descriptor requests, std::string path, int64_t bytes, BatchResults results);

  Descriptor requests_;
  std::string path_;
  int64_t bytes_;
  BatchResults results_;
};

}  // namespace merope
