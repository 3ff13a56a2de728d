#include "verify/endpoint_rows.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "endpoint/ask_all.h"
#include "verify/top_row.h"

namespace merope {
namespace {

// The length of a prompt whose generation still fits the context.
size_t AskedLength(const EndpointAsk& ask, const VerifyPrompt& prompt) {
  return static_cast<size_t>(
      std::clamp<int64_t>(ask.context - ask.generate, 1, std::ssize(prompt.ids)));
}

class AnswerRows : public LogitSource {
 public:
  AnswerRows(std::string name, int64_t top_k) : name_(std::move(name)), top_k_(top_k) {}

  std::string name() const override {
    return fmt::format("{}, the {} most probable tokens", name_, top_k_);
  }
  int64_t top_k() const override { return top_k_; }

  // Takes the rows of an answer, of which the first is that of position `first`.
  void Add(const VerifyPrompt& prompt, std::vector<TopTokens> rows, std::vector<float> next) {
    Kept& kept = kept_[prompt.id];
    kept.first = prompt.first;
    kept.rows = std::move(rows);
    kept.next = std::move(next);
  }

  Result<TopRows> Top(const VerifyPrompt& prompt, int64_t begin, int64_t end) override {
    const Kept& kept = kept_.at(prompt.id);
    TopRows rows;
    for (int64_t i = begin; i < end; ++i) {
      // A position without a row is not compared; it gets any row.
      if (i < kept.first) {
        for (int32_t id = 0; id < top_k_; ++id) {
          rows.ids.push_back(id);
          rows.logprobs.push_back(kNoLogprob);
        }
        rows.next_logprob.push_back(0);
        continue;
      }
      const auto at = static_cast<size_t>(i - kept.first);
      const TopTokens& row = kept.rows[at];
      rows.ids.insert(rows.ids.end(), row.ids.begin(), row.ids.begin() + top_k_);
      rows.logprobs.insert(rows.logprobs.end(), row.logprobs.begin(),
                           row.logprobs.begin() + top_k_);
      rows.next_logprob.push_back(at < kept.next.size() ? kept.next[at] : 0.0f);
    }
    return rows;
  }

  Status Rows(const VerifyPrompt&, int64_t, int64_t, std::span<float>) override {
    return Err("{}: has rows of top-k tokens", name_);
  }

 private:
  static constexpr float kNoLogprob = -100;
  struct Kept {
    int64_t first = 0;
    std::vector<TopTokens> rows;
    std::vector<float> next;
  };
  std::string name_;
  int64_t top_k_;
  std::map<std::string, Kept> kept_;
};

}  // namespace

int64_t TokensToAsk(const EndpointAsk& ask, const std::vector<VerifyPrompt>& prompts) {
  int64_t total = 0;
  for (const VerifyPrompt& p : prompts)
    total += static_cast<int64_t>(AskedLength(ask, p)) + ask.generate;
  return total;
}

Result<std::vector<CompletionAnswer>> AskPrompts(
    const Endpoint& endpoint, const EndpointAsk& ask, std::vector<VerifyPrompt>* prompts,
    const std::function<void(int64_t done, int64_t total)>& progress) {
  std::vector<CompletionQuery> queries;
  for (VerifyPrompt& prompt : *prompts) {
    prompt.ids.resize(AskedLength(ask, prompt));
    CompletionQuery& query = queries.emplace_back(CompletionQuery{
        .ids = prompt.ids, .max_tokens = ask.generate, .logprobs = ask.top_k, .ignore_eos = true});
    if (ask.prompt_rows && prompt.ids.size() > 1) query.prompt_logprobs = ask.top_k;
  }
  return AskAll(endpoint, queries, ask.concurrency, progress);
}

Result<std::unique_ptr<LogitSource>> RowsOfAnswers(const ServerFacts& facts, const EndpointAsk& ask,
                                                   int64_t vocab,
                                                   std::vector<CompletionAnswer> answers,
                                                   std::vector<VerifyPrompt>* prompts) {
  auto source = std::make_unique<AnswerRows>(
      fmt::format("{} at {}, model {}", facts.software.empty() ? "server" : facts.software,
                  facts.url, facts.model),
      ask.top_k);
  for (size_t i = 0; i < answers.size(); ++i) {
    VerifyPrompt& prompt = (*prompts)[i];
    CompletionAnswer& answer = answers[i];
    const std::string where = fmt::format("{}: prompt {}", facts.url, prompt.id);
    const int64_t asked = std::ssize(prompt.ids);
    // The table (a) needs the row after each of its prompts. Another prompt may lack it: llama.cpp
    // does not name a token that ends inside a character.
    const bool has_rows = answer.tokens && !answer.tokens->empty() && !answer.top.empty();
    if (!has_rows && (i < ReportPrompts().size() || ask.prompt_rows))
      return Err(
          "{}: expected the {} most probable tokens by id at each generated position, found "
          "none",
          where, ask.top_k);
    if (!has_rows) {
      prompt.first = asked;
      source->Add(prompt, {}, {});
      continue;
    }
    if (ask.prompt_rows && std::ssize(answer.prompt_top) != asked - 1)
      return Err("{}: expected prompt_logprobs of {} positions, found {}", where, asked - 1,
                 answer.prompt_top.size());
    std::vector<TopTokens> rows = std::move(answer.prompt_top);
    std::ranges::move(answer.top, std::back_inserter(rows));
    for (size_t r = 0; r < rows.size(); ++r) {
      if (const auto fault = FindFault(rows[r].ids, rows[r].logprobs, vocab))
        return Err("{}: row {}: {}", where, r, fault->message);
      if (std::ssize(rows[r].ids) < ask.top_k)
        return Err("{}: row {}: expected {} tokens, found {}", where, r, ask.top_k,
                   rows[r].ids.size());
    }
    for (const int32_t id : *answer.tokens)
      if (id >= vocab)
        return Err("{}: expected generated token ids from 0 to {}, found {}", where, vocab - 1, id);
    // The row after the last generated token does not exist.
    prompt.ids.insert(prompt.ids.end(), answer.tokens->begin(), answer.tokens->end() - 1);
    prompt.generated = std::ssize(*answer.tokens) - 1;
    prompt.first = ask.prompt_rows ? 0 : asked - 1;
    source->Add(prompt, std::move(rows), std::move(answer.prompt_logprobs));
  }
  return source;
}

}  // namespace merope
