#include <utility>

#include "engine/engine.h"
#include "engine/job.h"

namespace merope {

Result<RequestId> Engine::Submit(Request request, EventSink sink) {
  GenerationSetup setup{.tokenizer = tokenizer_,
                        .eos_token_ids = model_.config().eos_token_ids,
                        .eos_token_id = options_.eos_token_id,
                        .vocab_size = model_.config().vocab_size,
                        .speculative_tokens = options_.speculative_tokens,
                        .constraint_work = options_.constraint_work};
  const double timeout = request.timeout_seconds;
  TRY(SetUp(std::move(request), {options_.max_logprobs, model_.max_model_len()}, &setup));
  std::optional<StructuredOutputs> wanted =
      std::exchange(setup.params.structured_outputs, std::nullopt);
  if (wanted) {
    TRY_ASSIGN(setup.grammar, grammars_.Known(*wanted));
    if (setup.grammar) wanted.reset();
  }
  auto job = std::make_unique<Job>(Job{.setup = std::move(setup),
                                       .sink = std::move(sink),
                                       .compiling = wanted.has_value(),
                                       .timeout = timeout,
                                       .times = {.queued = EngineSeconds()}});
  TRY(Enter());
  RequestId id = 0;
  {
    const std::lock_guard lock(mutex_);
    id = job->id = next_id_++;
    submitted_.push_back(std::move(job));
  }
  wake_.notify_one();
  if (wanted)
    constraints_.Compile(id, *std::move(wanted), [this, id](CompiledGrammar grammar) {
      Hand(&compiled_, {id, std::move(grammar)});
    });
  return id;
}

// Adds 1 to the number of requests. Returns an error and adds nothing if the engine takes no more
// requests or has no room for one.
Status Engine::Enter() {
  const auto refuse = [this](const std::string& why) {
    Leave();
    return std::unexpected(Error{why, ErrorCode::kOverloaded});
  };
  const int64_t before = requests_.fetch_add(1);
  if (draining_) return refuse("the engine takes no more requests: it is about to end");
  if (options_.max_requests > 0 && before >= options_.max_requests)
    return refuse(fmt::format("{} requests are being served: expected fewer than that", before));
  return {};
}

void Engine::Leave() {
  --requests_;
  requests_.notify_all();
}

void Engine::Drain() {
  draining_ = true;
  for (int64_t left = requests_; left > 0; left = requests_) requests_.wait(left);
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

}  // namespace merope
