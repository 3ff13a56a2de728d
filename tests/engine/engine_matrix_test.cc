// Tests the promise of bit-identical results through the engine. Requests of all kinds must give
// the same tokens, logprobs and texts alone and together, under any budget, with and without prefix
// cache, preemption and speculation, and with any number of threads.
//
// MEROPE_MATRIX_MODEL names another model to test: a checkpoint with a context of 1,600 tokens or
// more. MEROPE_MATRIX_REQUESTS sets the number of requests.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <random>

#include "base/stopwatch.h"
#include "engine/event_queue.h"
#include "tests/engine/tiny_model.h"

namespace merope {
namespace {

constexpr int64_t kContext = 1600, kLongestPrompt = 1500;

// All results of one sequence.
struct Outcome {
  std::vector<int32_t> ids;
  std::vector<std::vector<std::tuple<int32_t, float, int32_t>>> logprobs, prompt_logprobs;
  std::string text;
  std::optional<FinishReason> finish_reason;
  StopReason stop_reason;
  bool operator==(const Outcome&) const = default;
};
using Outcomes = std::vector<std::vector<Outcome>>;  // by request, then by sequence

void Append(const std::vector<PositionLogprobs>& from,
            std::vector<std::vector<std::tuple<int32_t, float, int32_t>>>* to) {
  for (const PositionLogprobs& position : from) {
    auto& copy = to->emplace_back();
    for (const TokenLogprob& token : position)
      copy.emplace_back(token.id, token.logprob, token.rank);
  }
}

class Requests {
 public:
  Requests(const Tokenizer& tokenizer, int64_t vocab_size, size_t count) : vocab_(vocab_size) {
    // Prompts are the beginnings of these texts, so prompts share prefixes. A text has few
    // different tokens, so it repeats itself.
    std::vector<std::vector<int32_t>> documents(4);
    for (std::vector<int32_t>& document : documents) {
      std::vector<int32_t> letters(40);
      for (int32_t& letter : letters) letter = Token();
      while (document.size() < static_cast<size_t>(kLongestPrompt)) {
        const size_t begin = Below(30), n = 3 + Below(10);
        for (size_t i = begin; i < begin + n && i < letters.size(); ++i)
          document.push_back(letters[i]);
      }
      document.resize(kLongestPrompt);
    }
    for (size_t i = 0; i < count; ++i) {
      Request request;
      const size_t length = i % 4 == 0 ? 1 + Below(kLongestPrompt) : 1 + Below(150 + i % 3 * 100);
      const std::vector<int32_t>& document = documents[Below(documents.size())];
      request.prompt.assign(document.begin(), document.begin() + static_cast<ptrdiff_t>(length));
      if (Below(3) == 0) request.prompt.back() = Token();
      request.priority = static_cast<int64_t>(Below(3));
      if (Below(8) == 0) request.cache_salt = "salt";
      request.params = Params(tokenizer);
      list.push_back(std::move(request));
    }
  }

  std::vector<Request> list;

 private:
  size_t Below(size_t n) { return random_() % n; }
  bool Sometimes() { return Below(4) == 0; }
  double Share() { return static_cast<double>(1 + Below(1000)) / 1000; }
  int32_t Token() { return static_cast<int32_t>(3 + Below(static_cast<size_t>(vocab_) - 3)); }

  SamplingParams Params(const Tokenizer& tokenizer) {
    SamplingParams params;
    params.max_tokens = 1 + static_cast<int64_t>(Below(30));
    params.temperature = Below(3) == 0 ? 0 : 2 * Share();
    params.seed = static_cast<int64_t>(Below(1000));
    if (Sometimes()) params.top_p = Share();
    if (Sometimes()) params.min_p = Share() / 10;
    if (Sometimes()) params.top_k = static_cast<int64_t>(1 + Below(50));
    if (Sometimes()) params.repetition_penalty = 0.5 + Share();
    if (Sometimes()) params.presence_penalty = Share();
    if (Sometimes()) params.frequency_penalty = Share();
    if (Sometimes()) params.logprobs = static_cast<int64_t>(Below(5));
    if (Below(12) == 0) params.prompt_logprobs = static_cast<int64_t>(Below(3));
    if (Sometimes()) params.logit_bias = {{Token(), 5}, {Token(), -5}};
    if (Sometimes()) params.logit_bias = {{Token(), 30}, {Token(), 30}};  // output repeats itself
    if (Sometimes())
      params.min_tokens = static_cast<int64_t>(Below(static_cast<size_t>(*params.max_tokens)));
    if (Sometimes()) params.stop_token_ids = {Token(), Token(), Token()};
    if (Sometimes()) params.stop = {tokenizer.TokenBytes(Token()), "e"};
    if (Sometimes()) params.include_stop_str_in_output = true;
    if (Sometimes()) params.ignore_eos = true;
    if (Below(10) == 0 && params.temperature >= 0.01) params.n = 2 + static_cast<int64_t>(Below(2));
    if (Below(10) == 0) params.repetition_detection = {3, 1, 2};
    if (Below(10) == 0) params.structured_outputs = {.regex = "[a-z ]{5,40}"};
    for (std::string& stop : params.stop)
      if (stop.empty()) stop = "q";
    return params;
  }

  std::mt19937 random_{7};
  int64_t vocab_;
};

struct Setting {
  std::string name;
  bool alone = false;
  RuntimeOptions runtime = {};
  EngineOptions engine = {};
};

struct Report {
  Outcomes outcomes;
  EngineStats stats;
};

Report RunAll(const LoadedModel& loaded, const Setting& setting,
              const std::vector<Request>& requests) {
  Engine engine(loaded.model(), loaded.tokenizer, setting.engine);
  EventQueue queue;
  Report run{.outcomes = Outcomes(requests.size()), .stats = {}};
  size_t ended = 0, submitted = 0;
  const auto submit = [&] {
    const Request& request = requests[submitted];
    run.outcomes[submitted].resize(static_cast<size_t>(request.params.n));
    const auto id = engine.Submit(request, queue.Sink(submitted));
    CHECK(id.has_value(), "{}", id.error().message);
    ++submitted;
  };
  while (ended < requests.size()) {
    while (submitted < requests.size() && (!setting.alone || submitted == ended)) submit();
    for (const TaggedEvent& tagged : queue.WaitForEvents(std::chrono::seconds(600))) {
      const Event& event = tagged.event;
      Outcome& outcome = run.outcomes[tagged.tag][static_cast<size_t>(event.index)];
      EXPECT_FALSE(outcome.finish_reason) << "an event after the last one";
      EXPECT_FALSE(event.error);
      outcome.ids.insert(outcome.ids.end(), event.ids.begin(), event.ids.end());
      Append(event.logprobs, &outcome.logprobs);
      Append(event.prompt_logprobs, &outcome.prompt_logprobs);
      outcome.text += event.text;
      outcome.finish_reason = event.finish_reason;
      outcome.stop_reason = event.stop_reason;
      ended += event.last;
    }
  }
  run.stats = engine.stats();
  return run;
}

std::string Describe(const std::vector<Outcome>& a, const std::vector<Outcome>& b) {
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i]) continue;
    std::string why = fmt::format("sequence {} of {}: {} and {} tokens", i, a.size(),
                                  a[i].ids.size(), b[i].ids.size());
    const auto [x, y] = std::ranges::mismatch(a[i].ids, b[i].ids);
    why += fmt::format(", equal up to {}", x - a[i].ids.begin());
    if (a[i].logprobs != b[i].logprobs) why += ", logprobs";
    if (a[i].prompt_logprobs != b[i].prompt_logprobs)
      why += fmt::format(", logprobs of the prompt ({} and {})", a[i].prompt_logprobs.size(),
                         b[i].prompt_logprobs.size());
    if (a[i].text != b[i].text) why += ", text";
    if (a[i].finish_reason != b[i].finish_reason || a[i].stop_reason != b[i].stop_reason)
      why += ", why it ended";
    return why;
  }
  return "";
}

class EngineMatrixTest : public testing::TestWithParam<Precision> {
 protected:
  void SetUp() override {
    if (const char* path = std::getenv("MEROPE_MATRIX_MODEL")) {
      path_ = path;
    } else {
      checkpoint_.emplace(kContext);
      path_ = checkpoint_->path();
    }
    if (const char* count = std::getenv("MEROPE_MATRIX_REQUESTS")) count_ = std::stoul(count);
  }

  Report Measure(const Setting& setting) {
    RuntimeOptions runtime = setting.runtime;
    runtime.llama.max_model_len = kContext;
    runtime.precision = GetParam();
    auto loaded = LoadModel({path_, runtime});
    CHECK(loaded.has_value(), "{}", loaded.error().message);
    const Requests requests(loaded->tokenizer, loaded->config().vocab_size, count_);
    const Stopwatch watch;
    Report run = RunAll(*loaded, setting, requests.list);
    const EngineStats& s = run.stats;
    std::cout << fmt::format(
        "{}: {} requests, {} tokens of prompt ({} "
        "cached), {} generated, {} steps, {} preemptions, "
        "{} of {} drafted tokens accepted, {:.1f} s\n",
        setting.name, requests.list.size(), s.prompt_tokens, s.prefix_hits, s.generated_tokens,
        s.steps, s.preemptions, s.accepted_tokens, s.draft_tokens, watch.Seconds());
    EXPECT_EQ(s.running + s.waiting, 0);
    EXPECT_EQ(s.kv_pages_used, 0) << "pages are held when nothing runs";
    return run;
  }

  void ExpectSame(const Outcomes& expected, const Outcomes& found, const std::string& name) {
    ASSERT_EQ(expected.size(), found.size());
    for (size_t i = 0; i < expected.size(); ++i)
      EXPECT_TRUE(expected[i] == found[i])
          << name << ": request " << i << " differs: " << Describe(expected[i], found[i]);
  }

  std::optional<TinyCheckpoint> checkpoint_;
  std::string path_;
  size_t count_ = 200;
};

TEST_P(EngineMatrixTest, RequestsGiveTheSameBitsInAnyCompany) {
  constexpr int64_t kPages = (kContext + kPageTokens - 1) / kPageTokens;
  const LlamaOptions small{.max_batch_tokens = 64, .kv_tokens = 20 * kContext};
  const LlamaOptions large{.max_batch_tokens = 4096, .kv_tokens = 100 * kContext};
  LlamaOptions tiny_pool = large;
  tiny_pool.kv_tokens = (kPages + 2) * kPageTokens;
  const Setting alone{.name = "alone",
                      .alone = true,
                      .runtime = {.threads = 1, .llama = large},
                      .engine = {.prefix_cache = false}};
  const Report expected = Measure(alone);
  EXPECT_EQ(expected.stats.prefix_hits + expected.stats.preemptions + expected.stats.drafts, 0);

  const auto check = [&](const Setting& setting) {
    const Report run = Measure(setting);
    ExpectSame(expected.outcomes, run.outcomes, setting.name);
    return run.stats;
  };
  check({.name = "together, a budget of 64, 2 threads",
         .runtime = {.threads = 2, .llama = small},
         .engine = {.prefix_cache = false}});
  EXPECT_GT(check({.name = "together, a budget of 4,096, prefix cache",
                   .runtime = {.threads = 2, .llama = large}})
                .prefix_hits,
            0);
  const EngineStats preempted =
      check({.name = "KV memory for little more than one",
             .runtime = {.threads = 1, .llama = tiny_pool},
             .engine = {.policy = SchedulingPolicy::kPriority, .constraint_work = 0}});
  EXPECT_GT(preempted.preemptions, 0);
  EXPECT_GT(check({.name = "alone, speculation",
                   .alone = true,
                   .runtime = {.threads = 2, .llama = small},
                   .engine = {.speculative_tokens = 8}})
                .accepted_tokens,
            0);
  const EngineStats all =
      check({.name = "together, all at once, few sequences at a time",
             .runtime = {.threads = 2, .llama = tiny_pool},
             .engine = {.max_num_seqs = 5, .speculative_tokens = 8, .constraint_work = 0}});
  EXPECT_GT(all.preemptions, 0);
  EXPECT_GT(all.accepted_tokens, 0);
  EXPECT_GT(all.prefix_hits, 0);
}

INSTANTIATE_TEST_SUITE_P(Precisions, EngineMatrixTest,
                         testing::Values(Precision::kFp32, Precision::kBf16, Precision::kInt8),
                         [](const auto& test) { return std::string(PrecisionName(test.param)); });

}  // namespace
}  // namespace merope
