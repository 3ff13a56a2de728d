#include "verify/endpoint_rows.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <map>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

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

// Checks that a row is one of the vocabulary's, with probabilities.
Status CheckRow(const TopTokens& row, int64_t vocab, const std::string& where) {
  constexpr double kSlack = 1e-3;  // logprobs are rounded
  double mass = 0;
  for (size_t i = 0; i < row.ids.size(); ++i) {
    if (row.ids[i] >= vocab)
      return Err("{}: expected token ids from 0 to {}, found {}", where, vocab - 1, row.ids[i]);
    mass += std::exp(static_cast<double>(row.logprobs[i]));
  }
  if (!(mass <= 1 + kSlack))
    return Err("{}: expected logarithms of probabilities of at most 1 together, found {:.6g}",
               where, mass);
  return {};
}

// Runs work(i) for i in [0, n) on up to `width` threads, each with a client of its own. Returns the
// first error.
Status RunConcurrently(const Endpoint& endpoint, int64_t n, int64_t width,
                       const std::function<Status(Endpoint&, int64_t)>& work) {
  std::atomic<int64_t> next = 0;
  std::atomic<bool> failed = false;
  std::mutex mutex;
  std::optional<Error> error;
  const auto run = [&] {
    Status status;
    try {
      Endpoint client = endpoint.Again();
      for (int64_t i = next++; i < n && !failed && status; i = next++) status = work(client, i);
    } catch (const std::bad_alloc&) {
      status = Err("{}: expected memory for an answer, found none", endpoint.facts().url);
    }
    if (status || failed.exchange(true)) return;
    const std::scoped_lock lock(mutex);
    error = status.error();
  };
  {
    std::vector<std::jthread> threads;
    try {
      for (int64_t i = 0; i < std::min(n, width); ++i) threads.emplace_back(run);
    } catch (const std::system_error&) {
      failed = true;  // the threads that exist end soon
      throw;
    }
  }
  if (error) return std::unexpected(*error);
  return {};
}

}  // namespace

int64_t TokensToAsk(const EndpointAsk& ask, const std::vector<VerifyPrompt>& prompts) {
  int64_t total = 0;
  for (const VerifyPrompt& p : prompts)
    total += static_cast<int64_t>(AskedLength(ask, p)) + ask.generate;
  return total;
}

Result<std::unique_ptr<LogitSource>> AskEndpoint(
    Endpoint& endpoint, const EndpointAsk& ask, int64_t vocab, std::vector<VerifyPrompt>* prompts,
    const std::function<void(int64_t done, int64_t total)>& progress) {
  const ServerFacts& facts = endpoint.facts();
  const int64_t n = std::ssize(*prompts);
  std::vector<CompletionAnswer> answers(prompts->size());
  std::mutex mutex;
  int64_t done = 0;
  TRY(RunConcurrently(endpoint, n, ask.concurrency, [&](Endpoint& client, int64_t i) -> Status {
    VerifyPrompt& prompt = (*prompts)[static_cast<size_t>(i)];
    prompt.ids.resize(AskedLength(ask, prompt));
    CompletionQuery query{
        .ids = prompt.ids, .max_tokens = ask.generate, .logprobs = ask.top_k, .ignore_eos = true};
    if (ask.prompt_rows && prompt.ids.size() > 1) query.prompt_logprobs = ask.top_k;
    TRY_ASSIGN(answers[static_cast<size_t>(i)], client.Complete(query));
    const std::scoped_lock lock(mutex);
    progress(++done, n);
    return {};
  }));

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
      TRY(CheckRow(rows[r], vocab, where));
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
