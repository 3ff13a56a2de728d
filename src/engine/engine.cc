#include "engine/engine.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "engine/generation.h"

namespace merope {
namespace {

// Rows that one step may spend on proposals: about as many are computed in the time that reading
// the weights takes.
constexpr int64_t kDraftRows = 16;

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
  std::vector<std::unique_ptr<Generation>> generations = {};  // those that have begun
  int64_t ended = 0;
  RequestTimes times = {};
};

Engine::Engine(Llama& model, const Tokenizer& tokenizer, const EngineOptions& options)
    : model_(model),
      tokenizer_(tokenizer),
      options_(options),
      grammars_(tokenizer, model.config().vocab_size, model.config().eos_token_ids),
      scheduler_(model.kv(), ForScheduler(model, options)) {
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
    TRY_ASSIGN(setup.grammar, grammars_.Compile(*setup.params.structured_outputs));
  }
  setup.prompt = std::move(request.prompt);
  setup.speculative_tokens = options_.speculative_tokens;
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
  return id;
}

void Engine::Abort(RequestId id) {
  {
    const std::lock_guard lock(mutex_);
    aborted_.push_back(id);
  }
  wake_.notify_one();
}

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
  while (true) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] {
        return stopping_ || !jobs_.empty() || !submitted_.empty() || !aborted_.empty() ||
               resets_wanted_ > resets_done_;
      });
      submitted.swap(submitted_);
      aborted.swap(aborted_);
      if (resets_wanted_ > resets_done_) {
        reset_result_ = model_.kv().ResetPrefixes();
        resets_done_ = resets_wanted_;
        reset_done_.notify_all();
      }
      if (stopping_ && submitted.empty()) break;
    }
    for (std::unique_ptr<Job>& job : submitted) Admit(std::move(job));
    for (const RequestId id : aborted) EndEarly(id, FinishReason::kAbort);
    submitted.clear();
    aborted.clear();
    if (!jobs_.empty()) Step();
    PublishStats();
  }
  while (!jobs_.empty()) EndEarly(jobs_.begin()->first, FinishReason::kAbort);
  PublishStats();
}

void Engine::Admit(std::unique_ptr<Job> job) {
  Job& admitted = *jobs_.emplace(job->id, std::move(job)).first->second;
  // The others of its n begin when the prompt is computed, and find it in the prefix cache.
  Begin(admitted);
}

void Engine::Begin(Job& job) {
  const int64_t index = std::ssize(job.generations);
  job.generations.push_back(std::make_unique<Generation>(job.setup, index, model_.kv()));
  Generation& generation = *job.generations.back();
  generation.request = job.id;
  scheduler_.Add(&generation);
}

void Engine::Step() {
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
  CHECK(!batch_.empty() && std::ssize(step_tokens_) <= model_.max_batch_tokens());
  const double begun = Now();
  const Status done = model_.Forward(steps_, &logits_);
  ++stats_.steps;
  if (!done) {
    for (const Generation* generation : batch_) failed_.push_back(generation->request);
    for (const RequestId id : failed_) EndEarly(id, FinishReason::kError, done.error().message);
    failed_.clear();
    return;
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
    if (generation->generated() > 0 || generation->finished())
      while (std::ssize(job.generations) < job.setup.params.n) Begin(job);
    if (generation->finished()) scheduler_.Remove(generation);
    Emit(*generation);
  }
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

void Engine::Emit(Generation& generation) {
  if (!generation.HasNews()) return;
  Job& job = *jobs_.at(generation.request);
  Event event = generation.News();
  event.times = job.times;
  if (event.finish_reason) {
    ++stats_.finished[static_cast<size_t>(*event.finish_reason)];
    event.last = ++job.ended == job.setup.params.n;
  }
  const bool last = event.last;
  if (last) PublishStats();  // who has seen the end of a request finds it counted
  job.sink(std::move(event));
  if (last) jobs_.erase(generation.request);
}

void Engine::EndEarly(RequestId id, FinishReason reason, const std::string& error) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) return;  // it has ended by itself
  Job& job = *found->second;
  while (std::ssize(job.generations) < job.setup.params.n) Begin(job);
  std::vector<Generation*> left;
  for (const std::unique_ptr<Generation>& generation : job.generations)
    if (!generation->finished()) left.push_back(generation.get());
  for (Generation* generation : left) {
    generation->Finish(reason, error);
    scheduler_.Remove(generation);
    Emit(*generation);
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
