#include "engine/engine.h"

#include <algorithm>
#include <chrono>
#include <new>
#include <utility>

#include "engine/generation.h"
#include "engine/job.h"

namespace merope {
namespace {

// Maximum number of rows that one step spends on drafts. About this many rows are computed in the
// time that reading the weights takes.
constexpr int64_t kDraftRows = 16;

// Compiling a grammar takes seconds at most, but the compiling threads get only the CPU time that
// the rest of the machine leaves.
constexpr double kGrammarSeconds = 300;

SchedulerOptions ForScheduler(const Llama& model, const EngineOptions& options) {
  const int64_t most = model.max_batch_tokens();
  const int64_t tokens =
      options.max_num_batched_tokens > 0 ? std::min(options.max_num_batched_tokens, most) : most;
  return {.max_num_seqs = std::min(options.max_num_seqs, model.max_logit_rows()),
          .max_batch_tokens = tokens,
          .max_logit_rows = model.max_logit_rows(),
          .policy = options.policy,
          .prefix_cache = options.prefix_cache};
}

}  // namespace

Engine::Engine(Llama& model, const Tokenizer& tokenizer, const EngineOptions& options)
    : model_(model),
      tokenizer_(tokenizer),
      options_(options),
      grammars_(tokenizer, model.config().vocab_size, model.config().eos_token_ids),
      scheduler_(model.kv(), ForScheduler(model, options)),
      constraints_(grammars_) {
  CHECK(model.kv().capacity_tokens() >= model.max_model_len());
  stats_.kv_pages = model.kv().capacity_tokens() / kPageTokens;
  published_ = stats_;
  // steps_ holds spans of step_tokens_, which must not move.
  step_tokens_.reserve(static_cast<size_t>(model.max_batch_tokens()));
  thread_ = std::thread([this] { Loop(); });
}

Engine::~Engine() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Engine::Loop() {
  std::vector<std::unique_ptr<Job>> submitted;
  std::vector<RequestId> aborted;
  std::vector<std::pair<RequestId, CompiledGrammar>> compiled;
  std::vector<Prepared> prepared;
  bool all_wait = false;
  const auto any = [this] { return scheduler_.running() + scheduler_.waiting() > 0; };
  while (true) {
    {
      std::unique_lock lock(mutex_);
      const auto called = [&] {
        return stopping_ || (any() && !all_wait) || !submitted_.empty() || !aborted_.empty() ||
               !compiled_.empty() || !prepared_.empty() || resets_wanted_ > resets_done_;
      };
      if (const auto deadline = deadlines_.first()) {
        wake_.wait_until(lock, *deadline, called);
      } else {
        wake_.wait(lock, called);
      }
      submitted.swap(submitted_);
      aborted.swap(aborted_);
      compiled.swap(compiled_);
      prepared.swap(prepared_);
      if (resets_wanted_ > resets_done_) {
        reset_result_ = model_.kv().ResetPrefixes();
        resets_done_ = resets_wanted_;
        reset_done_.notify_all();
      }
      if (stopping_ && submitted.empty()) break;
    }
    try {
      for (std::unique_ptr<Job>& job : submitted)
        if (job) Admit(std::move(job));  // null: was admitted before memory ran out
      for (auto& [id, grammar] : compiled) OnGrammarCompiled(id, std::move(grammar));
      for (const auto& [id, index, done] : prepared) OnMaskPrepared(id, index, done);
      for (const RequestId id : aborted) EndEarly(id);
      submitted.clear();
      aborted.clear();
      compiled.clear();
      prepared.clear();
      EndLate();
      all_wait = any() && !Step();
    } catch (const std::bad_alloc&) {  // ends all requests, whichever one needed the memory
      while (!jobs_.empty())
        EndEarly(jobs_.begin()->first, Error{"there is no memory left", ErrorCode::kInternal});
    }
    PublishStats();
  }
  while (!jobs_.empty()) EndEarly(jobs_.begin()->first);
  PublishStats();
}

void Engine::Admit(std::unique_ptr<Job> job) {
  using enum Deadlines::Stage;
  Job& admitted = *jobs_.emplace(job->id, std::move(job)).first->second;
  const RequestId id = admitted.id;
  if (admitted.timeout > 0) deadlines_.Add({id, kEnded, admitted.timeout});
  if (options_.queue_timeout_seconds > 0)
    deadlines_.Add({id, kBegun, options_.queue_timeout_seconds});
  if (admitted.compiling) {
    deadlines_.Add({id, kCompiled, kGrammarSeconds});
  } else {
    Begin(admitted);
  }
}

void Engine::OnGrammarCompiled(RequestId id, CompiledGrammar grammar) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) return;  // the request has ended in the meantime
  Job& job = *found->second;
  job.compiling = false;
  if (!grammar) return EndEarly(id, grammar.error());
  job.setup.grammar = *std::move(grammar);
  Begin(job);
}

void Engine::EndLate() {
  using enum Deadlines::Stage;
  while (const auto deadline = deadlines_.TakeOver()) {
    const auto found = jobs_.find(deadline->request);
    if (found == jobs_.end()) continue;
    const Job& job = *found->second;
    const bool late = deadline->stage == kCompiled ? job.compiling
                      : deadline->stage == kBegun  ? job.times.scheduled == 0
                                                   : true;
    if (late) EndEarly(job.id, LateError(*deadline));
  }
}

void Engine::PrepareElsewhere(const Generation& generation) {
  const RequestId id = generation.request;
  constraints_.Prepare(id, generation.constraint(), generation.generated(),
                       [this, id, index = generation.index()](Status done) {
                         Hand(&prepared_, {id, index, std::move(done)});
                       });
}

void Engine::OnMaskPrepared(RequestId id, int64_t index, const Status& done) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) return;  // the request has ended in the meantime
  if (!done) return EndEarly(id, done.error());
  for (const std::unique_ptr<Generation>& generation : found->second->generations)
    if (generation->index() == index) generation->waits = false;
}

void Engine::Begin(Job& job) {
  // Memory is reserved first, so that push_back below cannot fail.
  job.generations.reserve(job.generations.size() + 1);
  auto generation = std::make_unique<Generation>(job.setup, job.begun, model_.kv());
  generation->request = job.id;
  scheduler_.Add(generation.get());
  job.newest = generation.get();
  job.generations.push_back(std::move(generation));
  ++job.begun;
}

// Begins the request's other sequences once the prompt is computed, so that they find the prompt in
// the prefix cache. Begins as many sequences as there is room for, and one more, which waits for
// room like other requests.
void Engine::BeginOthers(Job& job) {
  const auto room = [this] {
    return scheduler_.running() + scheduler_.waiting() < scheduler_.max_num_seqs();
  };
  while (job.begun < job.setup.params.n &&
         (job.newest == nullptr || job.newest->admitted || room()))
    Begin(job);
}

bool Engine::Step() {
  batch_.clear();
  step_tokens_.clear();
  steps_.clear();
  for (const Scheduled& part : scheduler_.Schedule()) {
    auto& generation = static_cast<Generation&>(*part.work);
    const auto first = static_cast<size_t>(generation.sequence.length());
    const auto tokens = static_cast<size_t>(part.n_tokens - part.n_draft);
    const size_t begin = step_tokens_.size();
    const auto add = [this](std::span<const int32_t> ids) {
      step_tokens_.insert(step_tokens_.end(), ids.begin(), ids.end());
    };
    add(std::span(generation.tokens).subspan(first, tokens));
    add(std::span(generation.draft).first(static_cast<size_t>(part.n_draft)));
    steps_.push_back({&generation.sequence, std::span(step_tokens_).subspan(begin), part.n_logits});
    batch_.push_back(&generation);
  }
  if (batch_.empty()) return false;
  CHECK(std::ssize(step_tokens_) <= model_.max_batch_tokens());
  const double begun = EngineSeconds();
  const Status done = model_.Forward(steps_, &logits_);
  ++stats_.steps;
  if (!done) {
    for (const Generation* generation : batch_) failed_.push_back(generation->request);
    for (const RequestId id : failed_)
      EndEarly(id, Error{done.error().message, ErrorCode::kInternal});
    failed_.clear();
    return true;
  }
  std::span<const float> rows = logits_;
  for (size_t i = 0; i < batch_.size(); ++i) {
    Generation& generation = *batch_[i];
    if (steps_[i].n_logits > 0) {
      const auto size = static_cast<size_t>(steps_[i].n_logits * model_.config().vocab_size);
      AcceptLogits(generation, rows.first(size));
      rows = rows.subspan(size);
    }
    scheduler_.Commit(&generation);
  }
  const double ended = EngineSeconds();
  for (Generation* generation : batch_) {
    Job& job = *jobs_.at(generation->request);
    if (job.times.scheduled == 0) job.times.scheduled = begun;
    if (generation->generated() > 0) {
      if (job.times.first_token == 0) job.times.first_token = ended;
      job.times.last_token = ended;
      generation->StampTokens(ended);
    }
    if (generation->finished()) scheduler_.Remove(generation);
    if (generation->generated() > 0 || generation->finished()) BeginOthers(job);
    if (generation->waits) PrepareElsewhere(*generation);
    Emit(*generation);
  }
  return true;
}

void Engine::AcceptLogits(Generation& generation, std::span<const float> logits) {
  const int64_t before = generation.generated();
  generation.AcceptLogits(logits, kDraftRows / std::max<int64_t>(scheduler_.running(), 1));
  const int64_t after = generation.generated();
  stats_.generated_tokens += after - before;
  if (before == 0 && after > 0) {
    stats_.prompt_tokens += generation.prompt_tokens;
    stats_.prefix_queries += generation.prompt_tokens;
    stats_.prefix_hits += generation.cached_tokens;
  }
  stats_.drafts += generation.verified() > 0;
  stats_.draft_tokens += generation.verified();
  stats_.accepted_tokens += generation.accepted();
}

// Destroys a sequence after its last event.
void Engine::Emit(Generation& generation) {
  if (!generation.HasNews()) return;
  Job& job = *jobs_.at(generation.request);
  Event event = generation.News();
  if (generation.finished()) {
    if (job.newest == &generation) job.newest = nullptr;
    std::erase_if(job.generations, [&](const auto& own) { return own.get() == &generation; });
  }
  Send(job, std::move(event));
}

// Destroys the job after its last event.
void Engine::Send(Job& job, Event event) {
  const RequestId id = job.id;
  event.times = job.times;
  if (event.finish_reason) {
    ++stats_.finished[static_cast<size_t>(*event.finish_reason)];
    event.last = ++job.ended == job.setup.params.n;
  }
  const bool last = event.last;
  // PublishStats comes before the sink. A reader that has seen the end of a request then finds the
  // request in stats().
  if (last) PublishStats();
  job.sink(std::move(event));
  if (!last) return;
  jobs_.erase(id);
  Leave();
}

void Engine::EndEarly(RequestId id, const std::optional<Error>& error) {
  const FinishReason reason = error ? FinishReason::kError : FinishReason::kAbort;
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) return;  // the request has already ended
  Job& job = *found->second;
  constraints_.Drop(id);
  const int64_t begun = job.begun, n = job.setup.params.n;
  std::vector<Generation*> left;
  for (const std::unique_ptr<Generation>& generation : job.generations)
    left.push_back(generation.get());
  for (Generation* generation : left) scheduler_.Remove(generation);
  for (Generation* generation : left) {
    generation->Finish(reason, error);
    Emit(*generation);
  }
  // Send destroys the job with the last of these events.
  for (int64_t index = begun; index < n; ++index) {
    Event event;
    event.index = index;
    event.finish_reason = reason;
    event.error = error;
    Send(job, std::move(event));
  }
}

void Engine::PublishStats() {
  stats_.running = scheduler_.running();
  stats_.waiting = scheduler_.waiting();
  stats_.preemptions = scheduler_.preemptions();
  stats_.kv_pages_used = stats_.kv_pages - model_.kv().free_pages();
  const std::lock_guard lock(mutex_);
  published_ = stats_;
}

}  // namespace merope
