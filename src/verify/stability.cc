#include "verify/stability.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "endpoint/ask_all.h"

namespace merope {
namespace {

constexpr int64_t kCompany = 16;  // requests at the same time

struct Condition {
  std::string_view key, label;
  bool salted = false, company = false;
};
// The first condition gives the answers that the others are compared with. The salted requests come
// last but one, so that "again" finds the prefixes of the first condition in the cache.
constexpr Condition kConditions[] = {
    {"alone", "one request at a time"},
    {"again", "one at a time, again: its prefix may be cached"},
    {"salted", "one at a time, with no cached prefix", true},
    {"company", "all prompts at the same time", false, true},
};

// Adds the differences of one answer.
void Compare(const CompletionAnswer& alone, const CompletionAnswer& other, StabilityRow* row) {
  row->different += *other.tokens != *alone.tokens;
  const size_t n = std::min(alone.tokens->size(), other.tokens->size());
  for (size_t i = 0; i < n && (*alone.tokens)[i] == (*other.tokens)[i]; ++i) {
    const double delta = std::abs(static_cast<double>(alone.logprobs[i]) - other.logprobs[i]);
    double& largest = i == 0 ? row->prefill_delta : row->decode_delta;
    largest = std::max(largest, delta);
  }
}

}  // namespace

std::string_view StabilityLabel(std::string_view key) {
  const auto* const found = std::ranges::find(kConditions, key, &Condition::key);
  return found == std::end(kConditions) ? key : found->label;
}

StabilityPlan PlanStability(const EndpointAsk& ask, VerifyMode mode,
                            const std::vector<VerifyPrompt>& prompts) {
  constexpr size_t kQuickPrompts = 8;
  const bool quick = mode == VerifyMode::kQuick;
  StabilityPlan plan;
  const size_t n = std::min(prompts.size(), quick ? kQuickPrompts : ReportPrompts().size());
  plan.prompts.assign(prompts.begin(), prompts.begin() + static_cast<std::ptrdiff_t>(n));
  const auto longest = static_cast<size_t>(std::max<int64_t>(1, ask.context - ask.generate));
  for (VerifyPrompt& p : plan.prompts) p.ids.resize(std::min(p.ids.size(), longest));
  std::vector<int32_t> text;
  for (const VerifyPrompt& p : prompts) text.insert(text.end(), p.ids.begin(), p.ids.end());
  constexpr int64_t kQuickSizes[] = {16, 128}, kSizes[] = {16, 32, 64, 128, 256, 512, 1024};
  for (const int64_t size : quick ? std::span<const int64_t>(kQuickSizes) : kSizes)
    for (const int64_t length : {size - 1, size, size + 1}) {
      if (length > std::min(std::ssize(text), ask.context - ask.generate)) continue;
      plan.lengths.push_back(length);
      plan.prompts.push_back({.id = fmt::format("length-{}", length),
                              .kind = "length",
                              .language = "mixed",
                              .text = {},
                              .ids = {text.begin(), text.begin() + length}});
    }
  constexpr auto kTimes = static_cast<int64_t>(std::size(kConditions));
  plan.requests = std::ssize(plan.prompts) * kTimes;
  plan.tokens = TokensToAsk(ask, plan.prompts) * kTimes;
  return plan;
}

Result<Stability> MeasureStability(
    const Endpoint& endpoint, const EndpointAsk& ask, const StabilityPlan& plan,
    const std::function<void(int64_t done, int64_t total)>& progress) {
  Stability stability{.prompts = std::ssize(plan.prompts),
                      .tokens = ask.generate,
                      .company = std::min(kCompany, std::ssize(plan.prompts)),
                      .lengths = plan.lengths,
                      .rows = {},
                      .most_distinct_prompt = {}};
  std::vector<CompletionAnswer> alone;
  std::vector<std::set<std::vector<int32_t>>> distinct(plan.prompts.size());
  int64_t done = 0;
  for (size_t c = 0; c < std::size(kConditions); ++c) {
    const Condition& condition = kConditions[c];
    std::vector<CompletionQuery> queries;
    for (const VerifyPrompt& prompt : plan.prompts)
      queries.push_back({.ids = prompt.ids,
                         .max_tokens = ask.generate,
                         .logprobs = 1,
                         .repeat = static_cast<int>(10 + c),
                         .salt = condition.salted ? "merope " + prompt.id : ""});
    TRY_ASSIGN(std::vector<CompletionAnswer> answers,
               AskAll(endpoint, queries, condition.company ? kCompany : 1,
                      [&](int64_t, int64_t) { progress(++done, plan.requests); }));
    for (size_t i = 0; i < answers.size(); ++i) {
      const CompletionAnswer& answer = answers[i];
      if (!answer.tokens || answer.logprobs.size() != answer.tokens->size())
        return Err("{}: prompt {}: expected generated tokens by id with logprobs, found none",
                   endpoint.facts().url, plan.prompts[i].id);
      distinct[i].insert(*answer.tokens);
    }
    if (alone.empty()) {
      alone = std::move(answers);
      continue;
    }
    StabilityRow& row = stability.rows.emplace_back(StabilityRow{std::string(condition.key)});
    for (size_t i = 0; i < answers.size(); ++i) Compare(alone[i], answers[i], &row);
  }
  for (size_t i = 0; i < distinct.size(); ++i)
    if (std::ssize(distinct[i]) > stability.most_distinct) {
      stability.most_distinct = std::ssize(distinct[i]);
      stability.most_distinct_prompt = plan.prompts[i].id;
    }
  return stability;
}

}  // namespace merope
