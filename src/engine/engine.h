// The engine: requests in, events out. One thread of its own schedules, runs the forward pass,
// samples and emits, step by step; every other thread speaks to it through Submit and Abort.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "engine/output.h"
#include "engine/sampling_params.h"
#include "engine/scheduler.h"
#include "model/llama.h"
#include "text/tokenizer.h"

namespace merope {

struct EngineOptions {
  int64_t max_num_seqs = 256;          // sequences in one step at most
  int64_t max_num_batched_tokens = 0;  // tokens of one step at most; 0: as many as the model takes
  SchedulingPolicy policy = SchedulingPolicy::kFcfs;
  bool prefix_cache = true;
  int64_t max_logprobs = 20;  // −1: the vocabulary
  // Prompt lookup: tokens proposed for one step at most, 0: no speculation.
  int64_t speculative_tokens = 0;
};

struct Request {
  std::vector<int32_t> prompt;
  SamplingParams params;
  int64_t priority = 0;    // smaller goes first, under kPriority
  std::string cache_salt;  // requests of different salts share no cached prefix
};

using RequestId = uint64_t;
// Called on the engine's thread, in order. May call Submit and Abort; must not block.
using EventSink = std::function<void(Event event)>;

// Since the engine began.
struct EngineStats {
  int64_t running = 0, waiting = 0;         // now
  int64_t kv_pages = 0, kv_pages_used = 0;  // now
  int64_t steps = 0, prompt_tokens = 0, generated_tokens = 0, preemptions = 0;
  int64_t prefix_queries = 0, prefix_hits = 0;                // tokens
  int64_t drafts = 0, draft_tokens = 0, accepted_tokens = 0;  // speculation
  int64_t finished[5] = {};                                   // by FinishReason
};

class Engine {
 public:
  // The model and the tokenizer outlive the engine, and the model is used by nobody else meanwhile.
  Engine(Llama& model, const Tokenizer& tokenizer, const EngineOptions& options);
  ~Engine();  // aborts what is left, with an event each
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Refuses, by name, what cannot be: a wrong parameter, a token outside the vocabulary, a prompt
  // that is too long (with both lengths). Any thread.
  Result<RequestId> Submit(Request request, EventSink sink);
  // Its sequences end with kAbort, if they have not ended yet. Any thread.
  void Abort(RequestId id);
  // Forgets all cached prefixes; false where sequences that run hold some of them. Any thread;
  // waits for a step's end.
  bool ResetPrefixCache();
  EngineStats stats() const;  // any thread
};

}  // namespace merope
