#include "report/generation.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "engine/generate.h"
#include "prompt/chat_template.h"
#include "prompt/encode_prompt.h"
#include "template/date.h"
#include "verify/metrics.h"
#include "verify/top_row.h"

namespace merope {
namespace {

// A greedy text, and how its author sees the first token that differs from another text.
struct GreedyText {
  std::string text;
  std::vector<int32_t> ids;
  bool stopped = false;              // an EOS ended the text
  std::vector<TopTokens> rows = {};  // of a server: the most probable tokens at each position
};

Result<std::vector<float>> LogitsAfter(Llama& model, std::span<const int32_t> ids) {
  std::vector<float> row;
  Sequence sequence(model.kv());
  TRY(model.Extend(&sequence, ids, 1, [&](int64_t, std::span<const float> logits) {
    row.assign(logits.begin(), logits.end());
  }));
  return row;
}

Result<GreedyText> Greedy(Llama& model, const Tokenizer& tokenizer, std::span<const int32_t> prompt,
                          int64_t max_tokens) {
  Engine engine(model, tokenizer, {.max_num_seqs = 1});
  TRY_ASSIGN(GenerateResult result,
             Generate(engine, {.prompt = {prompt.begin(), prompt.end()},
                               .params = {.temperature = 0, .max_tokens = max_tokens}}));
  return GreedyText{.text = std::move(result.text),
                    .ids = std::move(result.ids),
                    .stopped = result.finish_reason == FinishReason::kStop};
}

Result<GreedyText> Greedy(Endpoint& server, int64_t top_k, int64_t vocab,
                          std::span<const int32_t> prompt, int64_t max_tokens) {
  TRY_ASSIGN(CompletionAnswer answer, server.Complete({.ids = {prompt.begin(), prompt.end()},
                                                       .max_tokens = max_tokens,
                                                       .logprobs = top_k,
                                                       .ignore_eos = false}));
  if (!answer.tokens)
    return Err("{}: expected generated tokens by id, found none", server.facts().url);
  for (const int32_t id : *answer.tokens)
    if (id >= vocab)
      return Err("{}: expected generated token ids from 0 to {}, found {}", server.facts().url,
                 vocab - 1, id);
  for (const TopTokens& row : answer.top)
    if (const auto fault = FindFault(row.ids, row.logprobs, vocab))
      return Err("{}: {}", server.facts().url, fault->message);
  return GreedyText{.text = std::move(answer.text),
                    .ids = std::move(*answer.tokens),
                    .stopped = answer.finish_reason == "stop",
                    .rows = std::move(answer.top)};
}

// The target, as far as a comparison of texts needs it. explain fills in what the target says after
// `prefix`, where the text has its token `index`, beside fp32's logits there: the margin of `a`
// over `b`, and the error.
struct TargetModel {
  std::function<Result<GreedyText>(std::span<const int32_t> prompt, int64_t max_tokens)> greedy;
  std::function<Status(std::span<const int32_t> prefix, const GreedyText& text, size_t index,
                       std::span<const float> baseline, int32_t a, int32_t b, GenerationPair* pair)>
      explain;
};

// Fills in the first position where the two id sequences differ, and both models' logits at this
// position.
Status ExplainDifference(const ComparisonSetup& setup, const TargetModel& model,
                         std::vector<int32_t> prefix, const GreedyText& baseline,
                         const GreedyText& target, GenerationPair* pair) {
  const auto [here, there] = std::ranges::mismatch(baseline.ids, target.ids);
  if (here == baseline.ids.end() || there == target.ids.end()) return {};
  pair->first_difference = here - baseline.ids.begin();
  prefix.insert(prefix.end(), baseline.ids.begin(), here);
  TRY_ASSIGN(const std::vector<float> before, LogitsAfter(setup.baseline, prefix));
  pair->baseline_token = setup.tokenizer.TokenBytes(*here);
  pair->target_token = setup.tokenizer.TokenBytes(*there);
  pair->margin =
      static_cast<double>(before[static_cast<size_t>(*here)]) - before[static_cast<size_t>(*there)];
  return model.explain(prefix, target, static_cast<size_t>(pair->first_difference), before, *here,
                       *there, pair);
}

Result<std::vector<GenerationPair>> CompareTexts(
    const ComparisonSetup& setup, const TargetModel& model,
    std::span<const std::string_view> questions, int64_t max_tokens,
    const std::function<void(int64_t, int64_t)>& progress) {
  TRY_ASSIGN(const std::optional<ChatTemplate> chat, LoadChatTemplate(setup.checkpoint));
  TRY_ASSIGN(const std::tm date, OwnPromptsDate());
  std::vector<GenerationPair> pairs;
  for (const std::string_view question : questions) {
    TRY_ASSIGN(const QuestionPrompt prompt,
               EncodeQuestion(setup.tokenizer, chat, question, {.date = date}));
    const int64_t room = setup.baseline.max_model_len() - std::ssize(prompt.ids);
    if (room < 1) continue;
    const int64_t length = std::min(max_tokens, room);
    const auto baseline = Greedy(setup.baseline, setup.tokenizer, prompt.ids, length);
    const auto target = model.greedy(prompt.ids, length);
    GenerationPair& pair = pairs.emplace_back();
    pair.prompt = question;
    pair.form = prompt.form;
    pair.prompt_tokens = std::ssize(prompt.ids);
    if (!baseline || !target) {  // logits are NaN or infinite: the verification judges the model
      pair.error = baseline ? target.error().message : baseline.error().message;
    } else {
      pair.baseline_text = baseline->text;
      pair.target_text = target->text;
      pair.baseline_tokens = std::ssize(baseline->ids);
      pair.target_tokens = std::ssize(target->ids);
      pair.baseline_stopped = baseline->stopped;
      pair.target_stopped = target->stopped;
      TRY(ExplainDifference(setup, model, prompt.ids, *baseline, *target, &pair));
    }
    if (progress) progress(std::ssize(pairs), std::ssize(questions));
  }
  return pairs;
}

}  // namespace

Result<std::vector<GenerationPair>> CompareGeneration(
    const ComparisonSetup& setup, Llama& target, std::span<const std::string_view> questions,
    int64_t max_tokens, const std::function<void(int64_t, int64_t)>& progress) {
  const TargetModel model{
      .greedy = [&](std::span<const int32_t> prompt,
                    int64_t length) { return Greedy(target, setup.tokenizer, prompt, length); },
      .explain = [&](std::span<const int32_t> prefix, const GreedyText&, size_t,
                     std::span<const float> baseline, int32_t a, int32_t b,
                     GenerationPair* pair) -> Status {
        TRY_ASSIGN(const std::vector<float> row, LogitsAfter(target, prefix));
        pair->target_margin =
            static_cast<double>(row[static_cast<size_t>(a)]) - row[static_cast<size_t>(b)];
        pair->sigma = RowComparer().Compare(baseline, row, std::nullopt).sigma_d;
        return {};
      }};
  return CompareTexts(setup, model, questions, max_tokens, progress);
}

Result<std::vector<GenerationPair>> CompareGeneration(
    const ComparisonSetup& setup, Endpoint& target, int64_t top_k,
    std::span<const std::string_view> questions, int64_t max_tokens,
    const std::function<void(int64_t, int64_t)>& progress) {
  const TargetModel model{
      .greedy =
          [&](std::span<const int32_t> prompt, int64_t length) {
            return Greedy(target, top_k, setup.checkpoint.config().vocab_size, prompt, length);
          },
      .explain = [](std::span<const int32_t>, const GreedyText& text, size_t index,
                    std::span<const float> baseline, int32_t a, int32_t b,
                    GenerationPair* pair) -> Status {
        if (index >= text.rows.size() || text.rows[index].ids.size() < 2) return {};
        const TopTokens& row = text.rows[index];
        const auto logprob = [&row](int32_t id) -> std::optional<double> {
          const auto at = std::ranges::find(row.ids, id);
          if (at == row.ids.end()) return std::nullopt;
          return row.logprobs[static_cast<size_t>(at - row.ids.begin())];
        };
        if (const auto of_a = logprob(a), of_b = logprob(b); of_a && of_b)
          pair->target_margin = *of_a - *of_b;
        pair->sigma = RowComparer()
                          .Compare(baseline, ListedRow{.ids = row.ids, .logprobs = row.logprobs},
                                   std::nullopt)
                          .sigma_d;
        return {};
      }};
  return CompareTexts(setup, model, questions, max_tokens, progress);
}

}  // namespace merope
