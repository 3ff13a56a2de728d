#include "report/generation.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "engine/generate.h"
#include "prompt/chat_template.h"
#include "prompt/encode_prompt.h"
#include "template/date.h"
#include "verify/metrics.h"

namespace merope {
namespace {

Result<std::vector<float>> LogitsAfter(Llama& model, std::span<const int32_t> ids) {
  std::vector<float> row;
  Sequence sequence(model.kv());
  TRY(model.Extend(&sequence, ids, 1, [&](int64_t, std::span<const float> logits) {
    row.assign(logits.begin(), logits.end());
  }));
  return row;
}

Result<GenerateResult> Greedy(Llama& model, const ComparisonSetup& setup,
                              std::span<const int32_t> prompt, int64_t max_tokens) {
  Engine engine(model, setup.tokenizer, {.max_num_seqs = 1});
  return Generate(engine, {.prompt = {prompt.begin(), prompt.end()},
                           .params = {.temperature = 0, .max_tokens = max_tokens}});
}

// Fills in the first position where the two id sequences differ, and both models' logits at this
// position.
Status ExplainDifference(const ComparisonSetup& setup, std::vector<int32_t> prefix,
                         std::span<const int32_t> baseline, std::span<const int32_t> target,
                         GenerationPair* pair) {
  const auto [here, there] = std::ranges::mismatch(baseline, target);
  if (here == baseline.end() || there == target.end()) return {};
  pair->first_difference = here - baseline.begin();
  prefix.insert(prefix.end(), baseline.begin(), here);
  TRY_ASSIGN(const std::vector<float> before, LogitsAfter(setup.baseline, prefix));
  TRY_ASSIGN(const std::vector<float> after, LogitsAfter(setup.target, prefix));
  const auto a = static_cast<size_t>(*here), b = static_cast<size_t>(*there);
  pair->baseline_token = setup.tokenizer.TokenBytes(*here);
  pair->target_token = setup.tokenizer.TokenBytes(*there);
  pair->margin = static_cast<double>(before[a]) - before[b];
  pair->target_margin = static_cast<double>(after[a]) - after[b];
  pair->sigma = RowComparer().Compare(before, after, std::nullopt).sigma_d;
  return {};
}

}  // namespace

Result<std::vector<GenerationPair>> CompareGeneration(
    const ComparisonSetup& setup, std::span<const std::string_view> questions, int64_t max_tokens,
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
    const auto baseline = Greedy(setup.baseline, setup, prompt.ids, length);
    const auto target = Greedy(setup.target, setup, prompt.ids, length);
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
      pair.baseline_stopped = baseline->finish_reason == FinishReason::kStop;
      pair.target_stopped = target->finish_reason == FinishReason::kStop;
      TRY(ExplainDifference(setup, prompt.ids, baseline->ids, target->ids, &pair));
    }
    if (progress) progress(std::ssize(pairs), std::ssize(questions));
  }
  return pairs;
}

}  // namespace merope
