// The engine: requests in, events out. One thread of its own schedules, runs the forward pass,
// samples and emits, step by step; every other thread speaks to it through Submit and Abort.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "engine/constraint_threads.h"
#include "engine/grammar_compiler.h"
#include "engine/output.h"
#include "engine/sampling_params.h"
#include "engine/scheduler.h"
#include "model/llama.h"
#include "text/tokenizer.h"

namespace merope {

class Generation;

struct EngineOptions {
  int64_t max_num_seqs = 256;          // sequences in one step at most
  int64_t max_num_batched_tokens = 0;  // tokens of one step at most; 0: as many as the model takes
  SchedulingPolicy policy = SchedulingPolicy::kFcfs;
  bool prefix_cache = true;
  int64_t max_logprobs = 20;  // −1: the vocabulary
  // The tokenizer's own EOS: of another of the model's, a sequence's stop_reason tells which.
  std::optional<int32_t> eos_token_id = {};
  // Prompt lookup: tokens proposed for one step at most, 0: no speculation.
  int64_t speculative_tokens = 0;
  // Of Constraint::Prepare, by the engine's own thread for a token, with others waiting: below a
  // millisecond. What takes more is done by others, and the sequence waits.
  int64_t constraint_work = 40'000;
};

struct Request {
  std::vector<int32_t> prompt = {};
  SamplingParams params = {};
  int64_t priority = 0;         // smaller goes first, under kPriority
  std::string cache_salt = {};  // requests of different salts share no cached prefix
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
  // The model and the tokenizer outlive the engine, and nobody else uses the model meanwhile. The
  // model's KV cache holds at least one sequence of max_model_len.
  Engine(Llama& model, const Tokenizer& tokenizer, const EngineOptions& options);
  ~Engine();  // aborts what is left, with an event each
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Refuses, by name, what cannot be: a parameter out of its range, a token outside the vocabulary,
  // a prompt that leaves no room for a token (with both lengths). Any thread. A grammar that is not
  // known yet is compiled by other threads meanwhile; where that fails, the request's events are
  // errors, and `refused`.
  Result<RequestId> Submit(Request request, EventSink sink);
  // Its sequences that have not ended end with kAbort. Any thread.
  void Abort(RequestId id);
  // Forgets all cached prefixes; false, and nothing is forgotten, while sequences hold pages. Any
  // thread but the engine's; waits for the step that runs.
  bool ResetPrefixCache();
  EngineStats stats() const;  // any thread

 private:
  struct Job;

  template <typename T>
  void Hand(std::vector<T>* to, std::type_identity_t<T> what);  // to the engine's thread
  void Loop();
  void Admit(std::unique_ptr<Job> job);
  void Begin(Job& job);  // the next of its n
  void BeginOthers(Job& job);
  void TakeGrammar(RequestId id, CompiledGrammar grammar);
  void RefuseLateGrammars();
  void PrepareElsewhere(const Generation& generation);
  void TakePrepared(RequestId id, int64_t index, const Status& done);
  bool Step();  // false where all sequences wait
  void Take(Generation& generation, std::span<const float> logits);
  void Emit(Generation& generation);  // the job is gone after its last event
  void EndEarly(RequestId id, FinishReason reason, const std::string& error = {},
                bool refused = false);
  void Send(Job& job, Event event);
  void PublishStats();

  Llama& model_;
  const Tokenizer& tokenizer_;
  EngineOptions options_;
  GrammarCompiler grammars_;

  // Between the threads.
  mutable std::mutex mutex_;
  std::condition_variable wake_, reset_done_;
  std::vector<std::unique_ptr<Job>> submitted_;
  std::vector<RequestId> aborted_;
  std::vector<std::pair<RequestId, CompiledGrammar>> compiled_;
  struct Prepared {
    RequestId id = 0;
    int64_t index = 0;
    Status done = {};
  };
  std::vector<Prepared> prepared_;
  int64_t resets_wanted_ = 0, resets_done_ = 0;
  bool reset_result_ = false, stopping_ = false;
  RequestId next_id_ = 1;
  EngineStats published_;

  // The engine's thread's own.
  Scheduler scheduler_;
  std::unordered_map<RequestId, std::unique_ptr<Job>> jobs_;
  struct Late {
    std::chrono::steady_clock::time_point deadline;
    RequestId id;
  };
  std::deque<Late> compiling_;      // requests that wait for their grammars, or did; in order
  std::vector<Generation*> batch_;  // of the step
  std::vector<int32_t> step_tokens_;
  std::vector<SequenceStep> steps_;
  std::vector<float> logits_;
  std::vector<RequestId> failed_;
  EngineStats stats_;
  ConstraintThreads constraints_;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace merope
