#include "verify/token_texts.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include "endpoint/ask_all.h"
#include "engine/sampler.h"
#include "verify/free_run.h"
#include "verify/logit_source.h"

namespace merope {
namespace {

constexpr int64_t kFirstSeed = 1000;

Result<std::vector<VerifyPrompt>> AuditPrompts(const Checkpoint& checkpoint,
                                               const Tokenizer& tokenizer) {
  TRY_ASSIGN(std::vector<VerifyPrompt> prompts,
             BuildPrompts(checkpoint, tokenizer, VerifyMode::kQuick));
  prompts.resize(std::min(prompts.size(), ReportPrompts().size()));
  return prompts;
}

// The tokens that a prompt is continued by.
int64_t RoomFor(const VerifyPrompt& prompt, int64_t tokens, int64_t context) {
  return std::min(tokens, context - std::ssize(prompt.ids));
}

}  // namespace

int64_t AuditLength(VerifyMode mode) {
  switch (mode) {
    case VerifyMode::kQuick:
      return 32;
    case VerifyMode::kDefault:
      return 64;
    case VerifyMode::kFull:
      return 256;
  }
  return 0;
}

Result<TargetTexts> GenerateTexts(
    const Checkpoint& checkpoint, const Tokenizer& tokenizer, const OwnTexts& own, VerifyMode mode,
    StopFlag stop, const std::function<void(int64_t done, int64_t total)>& progress) {
  TRY_ASSIGN(const std::vector<VerifyPrompt> prompts, AuditPrompts(checkpoint, tokenizer));
  const int64_t vocab = checkpoint.config().vocab_size;
  const int64_t context = checkpoint.config().max_position_embeddings;
  int64_t longest = 0;
  for (const VerifyPrompt& p : prompts) longest = std::max(longest, std::ssize(p.ids));
  TRY_ASSIGN(const auto target,
             LoadLogitSource(checkpoint, kCpuBackend, own.precision, own.kv, own.threads,
                             std::min(context, longest + AuditLength(mode))));
  TargetTexts texts;
  const auto total = 2 * std::ssize(prompts);
  int64_t done = 0;
  for (const VerifyPrompt& prompt : prompts) {
    const int64_t tokens = RoomFor(prompt, AuditLength(mode), context);
    for (const bool sampled : {false, true}) {
      TRY(stop.Check());
      progress(done++, total);
      if (tokens < 1) continue;
      SamplingParams params{.temperature = own.temperature, .seed = kFirstSeed + done};
      TRY(Settle(&params, {.vocab_size = vocab}));
      Sampler sampler(std::make_shared<const SamplingParams>(params), 0, {.vocab_size = vocab});
      VerifyPrompt& text = (sampled ? texts.sampled : texts.greedy).emplace_back(prompt);
      text.generated = tokens;
      TRY(ContinueText(
          *target, vocab, std::ssize(prompt.ids) + tokens,
          [&](std::span<const float> row) {
            return sampled ? sampler.Sample(row) : GreedyToken(row);
          },
          &text));
    }
  }
  return texts;
}

Result<TargetTexts> AskTexts(const Endpoint& endpoint, const Checkpoint& checkpoint,
                             const Tokenizer& tokenizer, VerifyMode mode, int64_t concurrency,
                             const std::function<void(int64_t done, int64_t total)>& progress) {
  TRY_ASSIGN(const std::vector<VerifyPrompt> prompts, AuditPrompts(checkpoint, tokenizer));
  const int64_t context =
      std::min(checkpoint.config().max_position_embeddings,
               endpoint.facts().context.value_or(std::numeric_limits<int64_t>::max()));
  TargetTexts texts;
  const auto total = 2 * std::ssize(prompts);
  // llama.cpp names tokens by id only beside their logprobs, of which no use is made.
  bool by_logprobs = false, past_eos = true;
  for (const bool sampled : {false, true}) {
    std::vector<VerifyPrompt> asked;
    std::vector<CompletionQuery> queries;
    for (const VerifyPrompt& prompt : prompts) {
      const int64_t tokens = RoomFor(prompt, AuditLength(mode), context);
      if (tokens < 1) continue;
      asked.push_back(prompt);
      CompletionQuery& query = queries.emplace_back(
          CompletionQuery{.ids = prompt.ids, .max_tokens = tokens, .ignore_eos = true});
      if (sampled) {
        query.temperature = 1;
        query.top_p = 1;
        query.seed = kFirstSeed + std::ssize(queries);
        query.plain_samples = true;
      }
    }
    const auto ask = [&] {
      for (CompletionQuery& query : queries)
        if (by_logprobs) query.logprobs = 1;
      return AskAll(endpoint, queries, concurrency, [&](int64_t done, int64_t) {
        progress(done + (sampled ? total / 2 : 0), total);
      });
    };
    TRY_ASSIGN(std::vector<CompletionAnswer> answers, ask());
    if (!by_logprobs && !answers.empty() && !answers.front().tokens) {
      by_logprobs = true;
      auto named = ask();
      by_logprobs = named.has_value();
      if (named) {
        answers = std::move(*named);
      } else if (!named.error().message.contains("HTTP status 4")) {  // no refusal
        return std::unexpected(named.error());
      } else if (!sampled) {  // the text of an EOS is empty, so a text must end there
        for (CompletionQuery& query : queries) {
          query.ignore_eos = false;
          query.logprobs.reset();
        }
        past_eos = false;
        TRY_ASSIGN(answers, ask());
      }
    }
    for (size_t i = 0; i < answers.size(); ++i) {
      std::optional<std::vector<int32_t>> ids = std::move(answers[i].tokens);
      // A sampled text often splits words in other ways than the tokenizer would, so to leave out
      // the texts that do would spoil the sample.
      if (!ids && !sampled) {
        TRY_ASSIGN(ids, tokenizer.Encode(answers[i].text));
        const int64_t counted = answers[i].n_tokens.value_or(-1);
        const bool ended = answers[i].finish_reason == "stop" && std::ssize(*ids) + 1 == counted;
        if (std::ssize(*ids) != counted && !ended) ids.reset();
      }
      if (!ids || ids->empty()) {
        ++texts.unread;
        continue;
      }
      VerifyPrompt& text = (sampled ? texts.sampled : texts.greedy).emplace_back(asked[i]);
      text.generated = std::ssize(*ids);
      text.ids.insert(text.ids.end(), ids->begin(), ids->end());
    }
  }
  if (past_eos && endpoint.facts().software.starts_with("llama.cpp"))
    for (int32_t id = 0; id < checkpoint.config().vocab_size; ++id)
      if (tokenizer.IsSpecial(id)) texts.forbidden.push_back(id);
  if (texts.greedy.empty() && texts.sampled.empty())
    return Err("{}: expected answers whose tokens can be told, found none", endpoint.facts().url);
  return texts;
}

}  // namespace merope
