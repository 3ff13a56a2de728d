// A batch: a file of requests in OpenAI's batch format, one JSON object a line ({custom_id, method,
// url, body}), and a file of their results. Results are written as they come. Whenever it stops, it
// can be run again, and does what is left: each custom_id has exactly one line among the results.
// The caller's thread reads, submits and writes while the engine's computes.
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
  int64_t answered = 0;  // lines of results that this run wrote
  int64_t failed = 0;    // of those, the ones with an error
  int64_t before = 0;    // requests whose results were there
  int64_t prompt_tokens = 0, cached_tokens = 0, generated_tokens = 0;  // cached: of the prompts'
  int64_t bytes_done = 0;                                              // of the requests' file
};

struct BatchOptions {
  // The engine's. Requests of twice as many sequences are kept in it, each counted as half at most.
  int64_t max_num_seqs = 256;
  const std::atomic<bool>* interrupted = nullptr;
  std::function<void(const BatchCounts& so_far)> progress;  // called often
};

class Batch {
 public:
  // Errors say which file, and what is wrong with it.
  static Result<Batch> Open(const std::string& requests, const std::string& results);

  int64_t bytes() const { return bytes_; }  // of the requests' file; 0 where it is a pipe
  // What a crash had left of a last result.
  int64_t dropped_bytes() const { return results_.dropped_bytes(); }

  // To the end, or until interrupted: then what has ended is written, and the rest is left to
  // another run.
  Result<BatchCounts> Run(Engine& engine, const ServedModel& model, const BatchOptions& options);

 private:
  Batch(Descriptor requests, std::string path, int64_t bytes, BatchResults results);

  Descriptor requests_;
  std::string path_;
  int64_t bytes_;
  BatchResults results_;
};

}  // namespace merope
