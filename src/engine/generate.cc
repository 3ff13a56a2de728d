#include "engine/generate.h"

#include <algorithm>
#include <utility>

#include "base/stopwatch.h"
#include "engine/sampler.h"
#include "engine/stop_text.h"

namespace merope {
namespace {

class Generation {
 public:
  Generation(Llama& model, const Tokenizer& tokenizer, const GenerateOptions& options,
             const SamplingParams& sampling, const std::function<bool(std::string_view)>& text)
      : model_(model),
        tokenizer_(tokenizer),
        options_(options),
        text_(text),
        sampler_(sampling, 0, {.vocab_size = model.config().vocab_size}) {}

  Result<GenerateResult> Run(std::span<const int32_t> prompt) {
    const int64_t room = model_.max_model_len() - std::ssize(prompt);
    const int64_t n = options_.max_tokens < 0 ? room : std::min(room, options_.max_tokens);
    result_.prompt_tokens = std::ssize(prompt);
    result_.ids.reserve(static_cast<size_t>(n));
    result_.token_times.reserve(static_cast<size_t>(n));
    if (options_.logprobs) result_.logprobs.reserve(static_cast<size_t>(n));
    TRY(Decode(prompt, n));
    if (!stops_.stopped_by()) {  // an unfinished character may complete a stop string, too
      Emit(stops_.Push(decoder_.Finish()));
      Emit(stops_.Finish());
    }
    if (stops_.stopped_by()) {
      result_.finish_reason = FinishReason::kStop;
      result_.stop_reason = *stops_.stopped_by();
    }
    return std::move(result_);
  }

 private:
  Status Decode(std::span<const int32_t> prompt, int64_t n) {
    result_.finish_reason = FinishReason::kAbort;
    std::span<const int32_t> todo = prompt;
    while (true) {
      // The prompt in chunks, so that cancelling does not wait for all of it; then a token at a
      // time.
      while (!todo.empty()) {
        if (Cancelled()) return {};
        const size_t chunk = std::min(todo.size(), static_cast<size_t>(model_.max_batch_tokens()));
        const SequenceStep step{&sequence_, todo.first(chunk), chunk == todo.size() ? 1 : 0};
        TRY(model_.Forward(std::span(&step, 1), &logits_));
        todo = todo.subspan(chunk);
      }
      if (Take(sampler_.Sample(logits_))) {
        result_.finish_reason = FinishReason::kStop;
        return {};
      }
      if (Cancelled()) return {};
      if (std::ssize(result_.ids) == n) {
        result_.finish_reason = FinishReason::kLength;
        return {};
      }
      todo = std::span(result_.ids).last(1);
    }
  }

  // True where the token ends the generation.
  bool Take(int32_t id) {
    result_.ids.push_back(id);
    if (options_.logprobs) result_.logprobs.push_back(static_cast<float>(LogProb(logits_, id)));
    result_.token_times.push_back(watch_.Seconds());
    const std::vector<int32_t>& eos = model_.config().eos_token_ids;
    if (!options_.ignore_eos && std::ranges::find(eos, id) != eos.end()) return true;
    // A model's vocabulary may be padded past the tokenizer's: such an id has no text.
    if (id < tokenizer_.vocab_size()) Emit(stops_.Push(decoder_.Push(id)));
    return stops_.stopped_by().has_value();
  }

  void Emit(const std::string& piece) {
    result_.text += piece;
    if (text_ && !piece.empty() && !refused_) refused_ = !text_(piece);
  }

  bool Cancelled() const {
    return refused_ ||
           (options_.cancelled != nullptr && options_.cancelled->load(std::memory_order_relaxed));
  }

  Llama& model_;
  const Tokenizer& tokenizer_;
  const GenerateOptions& options_;
  const std::function<bool(std::string_view)>& text_;
  Stopwatch watch_;
  Sequence sequence_{model_.kv()};
  Sampler sampler_;
  StreamDecoder decoder_{tokenizer_};
  StopText stops_{options_.stop};
  std::vector<float> logits_;  // (vocab_size) after the last token
  bool refused_ = false;       // by the receiver of the text
  GenerateResult result_;
};

}  // namespace

Result<GenerateResult> Generate(Llama& model, const Tokenizer& tokenizer,
                                std::span<const int32_t> prompt, const GenerateOptions& options,
                                const std::function<bool(std::string_view)>& text) {
  SamplingParams sampling = options.sampling;
  TRY(Settle(&sampling, {.vocab_size = model.config().vocab_size}));
  if (std::ranges::find(options.stop, "") != options.stop.end())
    return Err("stop: expected strings that are not empty");
  if (options.max_tokens == 0 || options.max_tokens < -1)
    return Err("max_tokens: expected 1 or more, or −1 (as many as fit), found {}",
               options.max_tokens);
  if (prompt.empty()) return Err("prompt: expected at least one token, found none");
  if (std::ssize(prompt) >= model.max_model_len())
    return Err("prompt: {} tokens, expected at most {}, one fewer than the model's length of {}",
               prompt.size(), model.max_model_len() - 1, model.max_model_len());
  return Generation(model, tokenizer, options, sampling, text).Run(prompt);
}

}  // namespace merope
