#include "engine/engine.h"

#include <algorithm>
#include <chrono>
#include <new>
#include <utility>

#include "engine/generation.h"

namespace merope {
namespace {

// Rows that one step may spend on proposals: about as many are computed in the time that reading
// the weights takes.
constexpr int64_t kDraftRows = 16;

// A grammar takes seconds at most, but only what the machine leaves of its time.
constexpr std::chrono::seconds kGrammarDeadline{300};

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

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

struct Engine::Job {
  RequestId id = 0;
  GenerationSetup setup;
  EventSink sink;
  std::vector<std::unique_ptr<Generation>> generations = {};  // those that are there
  const Generation* newest = nullptr;                         // of them
  int64_t begun = 0, ended = 0;                               // of its n
  bool compiling = false;                                     // it waits for its grammar
  RequestTimes times = {};
};

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
  step_tokens_.reserve(static_cast<size_t>(model.max_batch_tokens()));  // steps look into it
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

Result<RequestId> Engine::Submit(Request request, EventSink sink) {
  const ModelConfig& config = model_.config();
  const int64_t prompt = std::ssize(request.prompt), longest = model_.max_model_len();
  auto job = std::make_unique<Job>(Job{.setup = {.tokenizer = tokenizer_,
                                                 .eos_token_ids = config.eos_token_ids,
                                                 .eos_token_id = options_.eos_token_id,
                                                 .vocab_size = config.vocab_size},
                                       .sink = std::move(sink)});
  GenerationSetup& setup = job->setup;
  setup.params = std::move(request.params);
  TRY(Settle(&setup.params, {config.vocab_size, options_.max_logprobs}));
  if (prompt == 0) return Err("prompt: expected at least one token, found none");
  for (const int32_t id : request.prompt)
    if (id < 0 || id >= config.vocab_size)
      return Err("prompt: token {}: expected an id from 0 to {}", id, config.vocab_size - 1);
  if (prompt >= longest)
    return Err("prompt: {} tokens, expected at most {}, one fewer than the model's length of {}",
               prompt, longest - 1, longest);
  setup.max_tokens = std::min(setup.params.max_tokens.value_or(longest), longest - prompt);
  TRY_ASSIGN(setup.bad_words,
             EncodeBadWords(tokenizer_, setup.params.bad_words, config.vocab_size));
  if (setup.params.structured_outputs) {
    TRY_ASSIGN(setup.grammar, grammars_.Known(*setup.params.structured_outputs));
    job->compiling = setup.grammar == nullptr;
  }
  std::optional<StructuredOutputs> wanted =
      std::exchange(setup.params.structured_outputs, std::nullopt);
  const bool compiling = job->compiling;
  setup.prompt = std::move(request.prompt);
  if (setup.params.repetition_penalty != 1)
    setup.prompt_ids = DistinctIds(setup.prompt, config.vocab_size);
  setup.speculative_tokens = options_.speculative_tokens;
  setup.constraint_work = options_.constraint_work;
  setup.priority = request.priority;
  setup.cache_salt = std::move(request.cache_salt);
  job->times.queued = Now();
  RequestId id = 0;
  {
    const std::lock_guard lock(mutex_);
    id = job->id = next_id_++;
    submitted_.push_back(std::move(job));
  }
  wake_.notify_one();
  if (compiling)
    constraints_.Compile(id, *std::move(wanted), [this, id](CompiledGrammar grammar) {
      Hand(&compiled_, {id, std::move(grammar)});
    });
  return id;
}

template <typename T>
void Engine::Hand(std::vector<T>* to, std::type_identity_t<T> what) {
  {
    const std::lock_guard lock(mutex_);
    to->push_back(std::move(what));
  }
  wake_.notify_one();
}

void Engine::Abort(RequestId id) { Hand(&aborted_, id); }

bool Engine::ResetPrefixCache() {
  std::unique_lock lock(mutex_);
  const int64_t mine = ++resets_wanted_;
  wake_.notify_one();
  reset_done_.wait(lock, [&] { return resets_done_ >= mine; });
  return reset_result_;
}

EngineStats Engine::stats() const {
  const std::lock_guard lock(mutex_);
  return published_;
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
      if (compiling_.empty()) {
        wake_.wait(lock, called);
      } else {
        wake_.wait_until(lock, compiling_.front().deadline, called);
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
        if (job) Admit(std::move(job));  // null: had its turn before memory ran out
      for (auto& [id, grammar] : compiled) TakeGrammar(id, std::move(grammar));
      for (const auto& [id, index, done] : prepared) TakePrepared(id, index, done);
      for (const RequestId id : aborted) EndEarly(id, FinishReason::kAbort);
      submitted.clear();
      aborted.clear();
      compiled.clear();
      prepared.clear();
      RefuseLateGrammars();
      all_wait = any() && !Step();
    } catch (const std::bad_alloc&) {  // whoever it was that asked for it
      while (!jobs_.empty())
        EndEarly(jobs_.begin()->first, FinishReason::kError, "there is no memory left");
    }
    PublishStats();
  }
  while (!jobs_.empty()) EndEarly(jobs_.begin()->first, FinishReason::kAbort);
  PublishStats();
}

void Engine::Admit(std::unique_ptr<Job> job) {
  Job& admitted = *jobs_.emplace(job->id, std::move(job)).first->second;
  if (admitted.compiling) {
    compiling_.push_back({std::chrono::steady_clock::now() + kGrammarDeadline, admitted.id});
  } else {
    Begin(admitted);
  }
}

void Engine::TakeGrammar(RequestId id, CompiledGrammar grammar) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) return;  // aborted meanwhile
  Job& job = *found->second;
  job.compiling = false;
  if (!grammar) return EndEarly(id, FinishReason::kError, grammar.error().message, true);
  job.setup.grammar = *std::move(grammar);
  Begin(job);
}

void Engine::RefuseLateGrammars() {
  const auto now = std::chrono::steady_clock::now();
  while (!compiling_.empty()) {
    const auto [deadline, id] = compiling_.front();
    const auto found = jobs_.find(id);
    const bool waits = found != jobs_.end() && found->second->compiling;
    if (waits && deadline > now) return;
    compiling_.pop_front();
    if (waits)
      EndEarly(id, FinishReason::kError,
               fmt::format("structured_outputs: no time was left to compile it within {} s",
                           kGrammarDeadline.count()));
  }
}

void Engine::PrepareElsewhere(const Generation& generation) {
  const RequestId id = generation.request;
  constraints_.Prepare(id, generation.constraint(), generation.generated(),
                       [this, id, index = generation.index()](Status done) {
                         Hand(&prepared_, {id, index, std::move(done)});
                       });
}

void Engine::TakePrepared(RequestId id, int64_t index, const Status& done) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) return;  // aborted meanwhile
  if (!done) return EndEarly(id, FinishReason::kError, done.error().message, true);
  for (const std::unique_ptr<Generation>& generation : found->second->generations)
    if (generation->index() == index) generation->waits = false;
}

void Engine::Begin(Job& job) {
  job.generations.reserve(job.generations.size() + 1);  // what takes memory comes first
  auto generation = std::make_unique<Generation>(job.setup, job.begun, model_.kv());
  generation->request = job.id;
  scheduler_.Add(generation.get());
  job.newest = generation.get();
  job.generations.push_back(std::move(generation));
  ++job.begun;
}

// The others of its n begin when the prompt is computed, and find it in the prefix cache: as many
// as there is room for, and one that waits for room like other requests.
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
  const double begun = Now();
  const Status done = model_.Forward(steps_, &logits_);
  ++stats_.steps;
  if (!done) {
    for (const Generation* generation : batch_) failed_.push_back(generation->request);
    for (const RequestId id : failed_) EndEarly(id, FinishReason::kError, done.error().message);
    failed_.clear();
    return true;
  }
  std::span<const float> rows = logits_;
  for (size_t i = 0; i < batch_.size(); ++i) {
    Generation& generation = *batch_[i];
    if (steps_[i].n_logits > 0) {
      const auto size = static_cast<size_t>(steps_[i].n_logits * model_.config().vocab_size);
      Take(generation, rows.first(size));
      rows = rows.subspan(size);
    }
    scheduler_.Commit(&generation);
  }
  const double ended = Now();
  for (Generation* generation : batch_) {
    Job& job = *jobs_.at(generation->request);
    if (job.times.scheduled == 0) job.times.scheduled = begun;
    if (generation->generated() > 0) {
      if (job.times.first_token == 0) job.times.first_token = ended;
      job.times.last_token = ended;
    }
    if (generation->finished()) scheduler_.Remove(generation);
    if (generation->generated() > 0 || generation->finished()) BeginOthers(job);
    if (generation->waits) PrepareElsewhere(*generation);
    Emit(*generation);
  }
  return true;
}

void Engine::Take(Generation& generation, std::span<const float> logits) {
  const int64_t before = generation.generated();
  generation.Take(logits, kDraftRows / std::max<int64_t>(scheduler_.running(), 1));
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

// A sequence is gone after its last event.
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

// The job is gone after its last event.
void Engine::Send(Job& job, Event event) {
  const RequestId id = job.id;
  event.times = job.times;
  if (event.finish_reason) {
    ++stats_.finished[static_cast<size_t>(*event.finish_reason)];
    event.last = ++job.ended == job.setup.params.n;
  }
  const bool last = event.last;
  if (last) PublishStats();  // who has seen the end of a request finds it counted
  job.sink(std::move(event));
  if (last) jobs_.erase(id);
}

void Engine::EndEarly(RequestId id, FinishReason reason, const std::string& error, bool refused) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) return;  // it has ended by itself
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
  // With the last of these events the job is gone.
  for (int64_t index = begun; index < n; ++index) {
    Event event;
    event.index = index;
    event.finish_reason = reason;
    event.error = error;
    event.refused = refused;
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
