// The engine takes requests and gives events. The engine's own thread schedules, runs the forward
// pass, samples and emits events, step by step. All other threads use the engine through its public
// functions, mainly Submit and Abort.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
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
#include "engine/deadlines.h"
#include "engine/output.h"
#include "engine/request.h"
#include "engine/scheduler.h"
#include "grammar/grammar_compiler.h"
#include "model/llama.h"
#include "text/tokenizer.h"

namespace merope {

struct EngineOptions {
  int64_t max_num_seqs = 256;          // maximum number of sequences in one step
  int64_t max_num_batched_tokens = 0;  // limit on tokens per step; 0: the model's max_batch_tokens
  SchedulingPolicy policy = SchedulingPolicy::kFcfs;
  bool prefix_cache = true;
  int64_t max_logprobs = 20;  // limit on logprobs per position; −1: the size of the vocabulary
  // The tokenizer's own EOS token. If another of the model's EOS tokens ends a sequence, the
  // sequence's stop_reason is the id of that token.
  std::optional<int32_t> eos_token_id = {};
  // Limit on the tokens that prompt lookup proposes per sequence and step; 0: no speculation.
  int64_t speculative_tokens = 0;
  // Limits on the number of requests in the engine, and on the seconds until a request's first
  // step; 0: no limit. A request beyond one of these limits gets kOverloaded.
  int64_t max_requests = 0;
  double queue_timeout_seconds = 0;
  // Maximum work (units of TokenConstraint::Prepare) that the engine's thread spends on a mask for
  // one token while other sequences wait. The default takes less than a millisecond. If the mask
  // takes more work, background threads prepare the mask, and the sequence waits.
  int64_t constraint_work = 40'000;
};

// Counts since the engine began, and values of the present moment ("now").
struct EngineStats {
  int64_t running = 0, waiting = 0;         // now
  int64_t kv_pages = 0, kv_pages_used = 0;  // now
  int64_t steps = 0, prompt_tokens = 0, generated_tokens = 0, preemptions = 0;
  int64_t prefix_queries = 0, prefix_hits = 0;                // prompt tokens
  int64_t drafts = 0, draft_tokens = 0, accepted_tokens = 0;  // speculation
  int64_t finished[5] = {};                                   // by FinishReason
};

class Generation;

class Engine {
 public:
  // The model and the tokenizer must outlive the engine. Nobody else may use the model while the
  // engine exists. The model's KV cache must hold at least one sequence of max_model_len tokens.
  Engine(Llama& model, const Tokenizer& tokenizer, const EngineOptions& options);
  ~Engine();  // aborts all remaining requests; each remaining sequence gets an event
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Checks a request and hands it to the engine's thread. Any thread may call Submit. Errors name
  // the field: a parameter out of its range, a token outside the vocabulary, a prompt that leaves
  // no room for a token (the error gives both lengths). Background threads compile a grammar that
  // is not known yet. If the grammar does not compile, the request ends with an error.
  Result<RequestId> Submit(Request request, EventSink sink);
  // The request's sequences that have not ended end with kAbort. Any thread may call Abort.
  void Abort(RequestId id);
  // From now on, Submit refuses requests with kOverloaded. Returns when the last request has ended.
  // Any thread but the engine's may call Drain.
  void Drain();
  // Removes every page from the prefix cache. Returns false and removes nothing while a sequence
  // holds one of these pages. Waits until the running step ends. Any thread but the engine's may
  // call ResetPrefixCache.
  bool ResetPrefixCache();
  EngineStats stats() const;  // any thread

 private:
  struct Job;

  // Passes `what` to the engine's thread.
  template <typename T>
  void Hand(std::vector<T>* to, std::type_identity_t<T> what);
  Status Enter();
  void Leave();
  void Loop();
  void Admit(std::unique_ptr<Job> job);
  void Begin(Job& job);  // begins the next of the job's n sequences
  void BeginOthers(Job& job);
  void OnGrammarCompiled(RequestId id, CompiledGrammar grammar);
  void EndLate();
  void PrepareElsewhere(const Generation& generation);
  void OnMaskPrepared(RequestId id, int64_t index, const Status& done);
  bool Step();  // false: all sequences wait
  void AcceptLogits(Generation& generation, std::span<const float> logits);
  void Emit(Generation& generation);  // destroys the job after its last event
  // Ends a request with an error; without an error, aborts the request.
  void EndEarly(RequestId id, const std::optional<Error>& error = {});
  void Send(Job& job, Event event);
  void PublishStats();

  Llama& model_;
  const Tokenizer& tokenizer_;
  EngineOptions options_;
  GrammarCompiler grammars_;

  // Shared between the threads. mutex_ guards all of these members except the atomics.
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
  std::atomic<int64_t> requests_ = 0;  // number of requests submitted and not ended
  std::atomic<bool> draining_ = false;
  EngineStats published_;

  // Used only by the engine's thread, except constraints_, which any thread may call.
  Scheduler scheduler_;
  std::unordered_map<RequestId, std::unique_ptr<Job>> jobs_;
  Deadlines deadlines_;
  std::vector<Generation*> batch_;  // the sequences of the step
  std::vector<int32_t> step_tokens_;
  std::vector<SequenceStep> steps_;
  std::vector<float> logits_;
  std::vector<RequestId> failed_;
  EngineStats stats_;
  ConstraintThreads constraints_;
  std::thread thread_;  // last, because the thread uses all members above
};

}  // namespace merope
