#include "engine/engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <thread>

#include "engine/event_queue.h"
#include "engine/generate.h"
#include "engine/sampler.h"
#include "tests/engine/tiny_model.h"
#include "tests/grammar/fourth_tokens.h"
#include "tests/grammar/grammar.h"

namespace merope {
namespace {

constexpr int64_t kContext = 8000;  // long enough that a test can interrupt a request

class EngineTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    checkpoint_ = new TinyCheckpoint(kContext);
    loaded_ = new LoadedModel(checkpoint_->Load(
        {.threads = 2, .llama = {.max_batch_tokens = 32, .kv_tokens = 2 * kContext}}));
  }
  static void TearDownTestSuite() {
    delete loaded_;
    delete checkpoint_;
  }
  void SetUp() override { Make({}); }

  void Make(const EngineOptions& options) {
    engine_.reset();
    engine_ = std::make_unique<Engine>(loaded_->model(), loaded_->tokenizer, options);
    engine_->ResetPrefixCache();
  }

  static std::vector<int32_t> Prompt(int64_t n) {
    std::vector<int32_t> prompt;
    for (int64_t i = 0; i < n; ++i) prompt.push_back(static_cast<int32_t>(30 + i * 7 % 200));
    return prompt;
  }
  static SamplingParams Greedy(int64_t max_tokens) {
    return {.temperature = 0, .max_tokens = max_tokens, .logprobs = 0, .ignore_eos = true};
  }

  GenerateResult Run(const SamplingParams& params, int64_t prompt = 9) {
    auto result = Generate(*engine_, {.prompt = Prompt(prompt), .params = params});
    CHECK(result.has_value(), "{}", result.error().message);
    return std::move(*result);
  }

  // All events of one request.
  std::vector<Event> Events(Request request) {
    EventQueue queue;
    const auto id = engine_->Submit(std::move(request), queue.Sink(0));
    CHECK(id.has_value(), "{}", id.error().message);
    std::vector<Event> events;
    while (events.empty() || !events.back().last)
      for (TaggedEvent& tagged : queue.WaitForEvents(std::chrono::seconds(10)))
        events.push_back(std::move(tagged.event));
    return events;
  }

  std::string Refusal(const SamplingParams& params, std::vector<int32_t> prompt) {
    const auto id = engine_->Submit({.prompt = std::move(prompt), .params = params}, [](Event) {});
    return id ? "" : id.error().message;
  }

  static inline TinyCheckpoint* checkpoint_ = nullptr;
  static inline LoadedModel* loaded_ = nullptr;
  std::unique_ptr<Engine> engine_;
};

TEST_F(EngineTest, LogitsThatAreNoNumbersEndARequestWithAnError) {
  const TinyCheckpoint overflowing(128, 1e15);
  for (const Precision precision :
       {Precision::kFp32, Precision::kBf16, Precision::kInt8, Precision::kInt4})
    for (const KvStorage kv : {KvStorage::kAuto, KvStorage::kInt8}) {
      SCOPED_TRACE(testing::Message() << PrecisionName(precision) << static_cast<int>(kv));
      LoadedModel loaded = overflowing.Load({.precision = precision, .threads = 2, .kv = kv});
      Engine engine(loaded.model(), loaded.tokenizer, {});
      for (SamplingParams params : {Greedy(5), SamplingParams{.n = 3, .seed = 1, .max_tokens = 5},
                                    SamplingParams{.max_tokens = 5, .prompt_logprobs = 1}}) {
        const int64_t n = params.n;
        EventQueue queue;
        const auto id =
            engine.Submit({.prompt = Prompt(9), .params = std::move(params)}, queue.Sink(0));
        ASSERT_TRUE(id) << id.error().message;
        int64_t ended = 0;
        for (bool last = false; !last;)
          for (const TaggedEvent& tagged : queue.WaitForEvents(std::chrono::seconds(10))) {
            EXPECT_EQ(tagged.event.finish_reason, FinishReason::kError);
            ASSERT_TRUE(tagged.event.error);
            EXPECT_NE(tagged.event.error->message.find("found NaN or infinity"), std::string::npos)
                << tagged.event.error->message;
            EXPECT_EQ(tagged.event.error->code, ErrorCode::kInternal);
            EXPECT_TRUE(tagged.event.ids.empty());
            last = tagged.event.last;
            ++ended;
          }
        EXPECT_EQ(ended, n);
      }
    }
}

// Every generated token is the most likely token by the model's own logits over all tokens before
// it. Its logprob is the model's. The logprobs of the prompt are the model's, too.
TEST_F(EngineTest, FollowsTheModel) {
  SamplingParams params = Greedy(20);
  params.logprobs = 3;
  params.prompt_logprobs = 2;
  const std::vector<Event> events = Events({.prompt = Prompt(50), .params = params});
  std::vector<int32_t> tokens = Prompt(50);
  std::vector<PositionLogprobs> logprobs = events.front().prompt_logprobs;
  ASSERT_EQ(logprobs.size(), 49u);
  for (const Event& event : events) {
    tokens.insert(tokens.end(), event.ids.begin(), event.ids.end());
    logprobs.insert(logprobs.end(), event.logprobs.begin(), event.logprobs.end());
  }
  ASSERT_EQ(tokens.size(), 70u);
  ASSERT_EQ(logprobs.size(), 69u);
  engine_.reset();
  Sequence sequence(loaded_->model().kv());
  size_t checked = 0;
  double sum = 0;
  const Status status = loaded_->model().Extend(
      &sequence, tokens, 70, [&](int64_t position, std::span<const float> logits) {
        const auto i = static_cast<size_t>(position);
        if (i + 1 == tokens.size()) return;
        const TokenLogprob& actual = logprobs[i].front();
        EXPECT_EQ(actual.id, tokens[i + 1]);
        EXPECT_FLOAT_EQ(actual.logprob, static_cast<float>(LogProb(logits, tokens[i + 1])));
        const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
        if (i >= 49) {
          EXPECT_EQ(tokens[i + 1], best);
          EXPECT_EQ(actual.rank, 1);
          sum += static_cast<double>(actual.logprob);
        }
        const bool likeliest =
            std::ranges::any_of(logprobs[i], [&](const TokenLogprob& t) { return t.id == best; });
        EXPECT_TRUE(likeliest);
        ++checked;
      });
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(checked, 69u);
  EXPECT_NEAR(events.back().cumulative_logprob, sum, 1e-4);
}

TEST_F(EngineTest, TextIsTheStreamedPieces) {
  std::string streamed;
  const auto result =
      Generate(*engine_,
               {.prompt = Prompt(9),
                .params = {.temperature = 2, .seed = 1, .max_tokens = 60, .ignore_eos = true}},
               [&](const Event& event) {
                 streamed += event.text;
                 return true;
               });
  ASSERT_TRUE(result);
  EXPECT_FALSE(streamed.empty());
  EXPECT_EQ(streamed, result->text);
  EXPECT_EQ(result->text, *loaded_->tokenizer.Decode(result->ids));
  EXPECT_EQ(result->token_times.size(), result->ids.size());
  EXPECT_TRUE(std::is_sorted(result->token_times.begin(), result->token_times.end()));
}

TEST_F(EngineTest, EosEndsTheTextAndIsOneOfTheIds) {
  // The temperature is high, so that EOS (id 2) is drawn.
  SamplingParams params{.temperature = 100, .max_tokens = 200};
  bool seen = false;
  for (int64_t seed = 0; seed < 50 && !seen; ++seed) {
    params.seed = seed;
    params.ignore_eos = false;
    const GenerateResult result = Run(params);
    const auto eos = std::ranges::find(result.ids, 2);
    if (result.finish_reason == FinishReason::kLength) {
      EXPECT_EQ(eos, result.ids.end());
      continue;
    }
    seen = true;
    EXPECT_EQ(result.finish_reason, FinishReason::kStop);
    EXPECT_EQ(result.stop_reason, "");
    EXPECT_EQ(eos, result.ids.end() - 1);
    params.ignore_eos = true;
    const GenerateResult longer = Run(params);
    EXPECT_GT(longer.ids.size(), result.ids.size());
    EXPECT_TRUE(std::equal(result.ids.begin(), result.ids.end(), longer.ids.begin()));
    // Before min_tokens, EOS is not drawn.
    params.ignore_eos = false;
    params.min_tokens = std::ssize(result.ids);
    const GenerateResult kept = Run(params);
    EXPECT_GT(kept.ids.size(), result.ids.size());
    EXPECT_NE(kept.ids[result.ids.size() - 1], 2);
  }
  EXPECT_TRUE(seen);
}

TEST_F(EngineTest, StopStringsAndStopTokensEndTheText) {
  SamplingParams params{.temperature = 1, .seed = 3, .max_tokens = 100, .ignore_eos = true};
  const GenerateResult whole = Run(params);
  ASSERT_GT(whole.text.size(), 20u);
  const std::string stop = whole.text.substr(10, 4);
  const size_t at = whole.text.find(stop);
  params.stop = {"not in the text, surely", stop};
  GenerateResult result = Run(params);
  EXPECT_EQ(result.text, whole.text.substr(0, at));
  EXPECT_EQ(result.finish_reason, FinishReason::kStop);
  EXPECT_EQ(result.stop_reason, stop);
  EXPECT_LT(result.ids.size(), whole.ids.size());
  params.include_stop_str_in_output = true;
  EXPECT_EQ(Run(params).text, whole.text.substr(0, at + stop.size()));
  // The stop string does not end the text before min_tokens.
  params.min_tokens = std::ssize(result.ids);
  EXPECT_GT(Run(params).ids.size(), result.ids.size());

  params = {.temperature = 1, .seed = 3, .max_tokens = 100, .ignore_eos = true};
  params.stop_token_ids = {whole.ids[5]};
  const auto first = std::ranges::find(whole.ids, whole.ids[5]) - whole.ids.begin();
  const std::vector<Event> events = Events({.prompt = Prompt(9), .params = params});
  EXPECT_EQ(events.back().finish_reason, FinishReason::kStop);
  EXPECT_EQ(events.back().stop_reason, StopReason(whole.ids[5]));
  result = Run(params);
  EXPECT_EQ(std::ssize(result.ids), first + 1);
  const auto before = std::span(whole.ids).first(static_cast<size_t>(first));
  EXPECT_EQ(result.text, *loaded_->tokenizer.Decode(before));
  params.include_stop_str_in_output = true;
  EXPECT_EQ(Run(params).text, *loaded_->tokenizer.Decode(result.ids));
}

TEST_F(EngineTest, LengthIsBoundedByTheContext) {
  SamplingParams params = Greedy(10 * kContext);
  EXPECT_EQ(Run(params, kContext - 1).ids.size(), 1u);
  params.max_tokens = std::nullopt;
  const GenerateResult result = Run(params, kContext - 5);
  EXPECT_EQ(result.ids.size(), 5u);
  EXPECT_EQ(result.finish_reason, FinishReason::kLength);
}

TEST_F(EngineTest, ARepetitionEndsTheText) {
  SamplingParams params = Greedy(100);
  params.logit_bias = {{77, 100}};  // 77 is always the most likely token
  params.repetition_detection = {4, 1, 3};
  const std::vector<Event> events = Events({.prompt = Prompt(9), .params = params});
  EXPECT_EQ(events.back().finish_reason, FinishReason::kRepetition);
  EXPECT_EQ(events.size(), 3u);
}

// n sequences give the same tokens as n requests with consecutive seeds.
TEST_F(EngineTest, NSequences) {
  SamplingParams params{.n = 3, .temperature = 1, .seed = 5, .max_tokens = 12, .ignore_eos = true};
  std::vector<std::vector<int32_t>> ids(3);
  int64_t finished = 0;
  for (const Event& event : Events({.prompt = Prompt(70), .params = params})) {
    auto& of = ids[static_cast<size_t>(event.index)];
    of.insert(of.end(), event.ids.begin(), event.ids.end());
    finished += event.finish_reason.has_value();
    EXPECT_EQ(event.last, finished == 3);
  }
  params.n = 1;
  for (size_t i = 0; i < 3; ++i) {
    params.seed = 5 + static_cast<int64_t>(i);
    EXPECT_EQ(Run(params, 70).ids, ids[i]);
  }
  EXPECT_NE(ids[0], ids[1]);
}

TEST_F(EngineTest, FinalOnlyGivesOneEvent) {
  SamplingParams params = Greedy(20);
  const GenerateResult expected = Run(params);
  params.output_kind = OutputKind::kFinalOnly;
  const std::vector<Event> events = Events({.prompt = Prompt(9), .params = params});
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events.front().ids, expected.ids);
  EXPECT_EQ(events.front().text, expected.text);
  EXPECT_EQ(events.front().logprobs.size(), 20u);
}

TEST_F(EngineTest, AbortingEndsIt) {
  // Calls Abort on the engine's thread, between two steps.
  EventQueue queue;
  const EventSink pass_on = queue.Sink(0);
  std::atomic<RequestId> id = 0;
  const auto submitted =
      engine_->Submit({.prompt = Prompt(9), .params = Greedy(kContext)}, [&](const Event& event) {
        while (id == 0) std::this_thread::yield();
        engine_->Abort(id);
        engine_->Abort(id);
        engine_->Abort(id + 1000);  // no request has this id
        pass_on(event);
      });
  ASSERT_TRUE(submitted);
  id = *submitted;
  std::vector<Event> events;
  while (events.empty() || !events.back().last)
    for (TaggedEvent& tagged : queue.WaitForEvents(std::chrono::seconds(10)))
      events.push_back(std::move(tagged.event));
  EXPECT_EQ(events.size(), 2u);  // one token, and the end
  EXPECT_EQ(events.back().finish_reason, FinishReason::kAbort);
  // The aborted request has returned its pages, and the engine continues.
  EXPECT_EQ(Run(Greedy(3)).ids.size(), 3u);
  EXPECT_TRUE(engine_->ResetPrefixCache());
  EXPECT_EQ(engine_->stats().kv_pages_used, 0);
}

TEST_F(EngineTest, TheEndOfTheEngineAbortsWhatIsLeft) {
  std::atomic<int> aborted = 0;
  for (int i = 0; i < 5; ++i) {
    const auto id = engine_->Submit(
        {.prompt = Prompt(60), .params = Greedy(kContext)},
        [&](Event event) { aborted += event.finish_reason == FinishReason::kAbort && event.last; });
    ASSERT_TRUE(id);
  }
  engine_.reset();
  EXPECT_EQ(aborted, 5);
}

TEST_F(EngineTest, TheReaderMayRefuse) {
  const auto refused = Generate(*engine_, {.prompt = Prompt(9), .params = Greedy(kContext)},
                                [](const Event&) { return false; });
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->finish_reason, FinishReason::kAbort);
  const std::atomic<bool> cancelled = true;
  const auto none =
      Generate(*engine_, {.prompt = Prompt(9), .params = Greedy(kContext)}, {}, &cancelled);
  ASSERT_TRUE(none);
  EXPECT_EQ(none->finish_reason, FinishReason::kAbort);
}

TEST_F(EngineTest, CachedPrefixesAreFoundAndCanBeForgotten) {
  const auto cached = [&](const std::string& salt) {
    return Events({.prompt = Prompt(150), .params = Greedy(2), .cache_salt = salt})
        .front()
        .cached_tokens;
  };
  EXPECT_EQ(cached(""), 0);
  EXPECT_EQ(cached(""), 2 * kPageTokens);
  EXPECT_EQ(cached("salt"), 0);
  EXPECT_TRUE(engine_->ResetPrefixCache());
  EXPECT_EQ(cached(""), 0);
  // The whole prompt is cached: only its last token is computed.
  const auto whole = [&] {
    return Events({.prompt = Prompt(2 * kPageTokens), .params = Greedy(2)}).front().cached_tokens;
  };
  EXPECT_EQ(whole(), 2 * kPageTokens - 1);
  Make({.prefix_cache = false});
  EXPECT_EQ(cached(""), 0);
  EXPECT_EQ(cached(""), 0);
}

TEST_F(EngineTest, ThreadsMaySubmitAtOnce) {
  const GenerateResult expected = Run(Greedy(10), 40);
  std::vector<std::jthread> threads;
  std::atomic<int> same = 0;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 5; ++i) {
        const auto result = Generate(*engine_, {.prompt = Prompt(40), .params = Greedy(10)});
        same += result && result->ids == expected.ids && result->logprobs == expected.logprobs;
      }
    });
  threads.clear();
  EXPECT_EQ(same, 20);
}

TEST_F(EngineTest, ProposalsAreAcceptedWhereTheTextRepeats) {
  SamplingParams params = Greedy(120);
  params.logit_bias = {{77, 30}, {78, 30}};  // 77 and 78 are most often the most likely
  const GenerateResult plain = Run(params);
  Make({.speculative_tokens = 8});
  const GenerateResult result = Run(params);
  EXPECT_EQ(result.ids, plain.ids);
  EXPECT_EQ(result.logprobs, plain.logprobs);
  EXPECT_EQ(result.text, plain.text);
  const EngineStats stats = engine_->stats();
  EXPECT_GT(stats.accepted_tokens, 0);
  EXPECT_EQ(stats.steps, 120 - stats.accepted_tokens);
}

TEST_F(EngineTest, WhatCannotBeIsRefused) {
  const std::string too_long = Refusal(Greedy(1), Prompt(kContext));
  EXPECT_NE(too_long.find("8000 tokens"), std::string::npos) << too_long;
  EXPECT_NE(too_long.find("7999"), std::string::npos) << too_long;
  EXPECT_NE(Refusal(Greedy(1), {}).find("at least one token"), std::string::npos);
  EXPECT_NE(Refusal(Greedy(1), {5, 400}).find("token 400"), std::string::npos);
  EXPECT_NE(Refusal(Greedy(1), {-1}).find("token -1"), std::string::npos);
  SamplingParams params = Greedy(1);
  params.stop = {""};
  EXPECT_NE(Refusal(params, {5}).find("stop"), std::string::npos);
  params = Greedy(0);
  EXPECT_NE(Refusal(params, {5}).find("max_tokens"), std::string::npos);
}

TEST_F(EngineTest, AGrammarIsCompiledWhileOthersRun) {
  // The grammar of the first request takes a long time to compile. The grammar of the second
  // request is small. The second request does not wait for the first grammar, and an abort does not
  // wait for the first grammar.
  SamplingParams params = Greedy(4);
  params.logprobs = std::nullopt;
  params.structured_outputs = {.regex = Repeated("a?", 130'000)};
  EventQueue queue;
  const auto slow = engine_->Submit({.prompt = Prompt(9), .params = params}, queue.Sink(0));
  ASSERT_TRUE(slow) << slow.error().message;
  params.structured_outputs = {.regex = "[b-d]+"};
  const auto result = Generate(*engine_, {.prompt = Prompt(9), .params = params});
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->text.find_first_not_of("bcd"), std::string::npos);
  engine_->Abort(*slow);
  const auto events = queue.WaitForEvents(std::chrono::seconds(10));
  ASSERT_EQ(events.size(), 1u);
  EXPECT_TRUE(events[0].event.last);
  EXPECT_EQ(events[0].event.finish_reason, FinishReason::kAbort);
}

TEST_F(EngineTest, AGrammarThatCannotBeIsTheRequestsError) {
  SamplingParams params{.n = 3, .seed = 1, .max_tokens = 4};
  params.structured_outputs = {.regex = "("};
  for (int again = 0; again < 2; ++again) {
    EventQueue queue;
    const auto id = engine_->Submit({.prompt = Prompt(9), .params = params}, queue.Sink(0));
    if (again == 1) {  // the error is known by now
      ASSERT_FALSE(id);
      EXPECT_EQ(id.error().message, "regex: at 1: a group without end, from 0");
      continue;
    }
    ASSERT_TRUE(id);
    std::vector<Event> events;
    while (events.empty() || !events.back().last)
      for (TaggedEvent& tagged : queue.WaitForEvents(std::chrono::seconds(60)))
        events.push_back(std::move(tagged.event));
    ASSERT_EQ(events.size(), 3u);  // one for each of the n sequences
    for (const Event& event : events) {
      EXPECT_EQ(event.finish_reason, FinishReason::kError);
      ASSERT_TRUE(event.error);
      EXPECT_EQ(event.error->message, "regex: at 1: a group without end, from 0");
      EXPECT_EQ(event.error->code, ErrorCode::kInvalid);
      EXPECT_EQ(event.error->field, "regex");
    }
  }
}

TEST_F(EngineTest, NoMoreRequestsThanItMayHave) {
  Make({.max_requests = 2});
  EventQueue queue;
  std::vector<RequestId> ids;
  for (size_t i = 0; i < 2; ++i) {
    const auto id = engine_->Submit({.prompt = Prompt(9), .params = Greedy(7000)}, queue.Sink(i));
    ASSERT_TRUE(id) << id.error().message;
    ids.push_back(*id);
  }
  const auto refused = engine_->Submit({.prompt = Prompt(9), .params = Greedy(1)}, queue.Sink(2));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kOverloaded);
  EXPECT_EQ(refused.error().message, "2 requests are being served: expected fewer than that");
  for (const RequestId id : ids) engine_->Abort(id);
  for (size_t ended = 0; ended < 2;)
    for (const TaggedEvent& tagged : queue.WaitForEvents(std::chrono::seconds(10)))
      ended += tagged.event.last ? 1 : 0;
  // The engine sends the last event of a request before it subtracts the request from its count.
  while (!engine_->Submit({.prompt = Prompt(9), .params = Greedy(1)}, queue.Sink(3)))
    std::this_thread::yield();
}

TEST_F(EngineTest, ARequestEndsWithItsTime) {
  const std::vector<Event> events =
      Events({.prompt = Prompt(9), .params = Greedy(7000), .timeout_seconds = 0.2});
  ASSERT_TRUE(events.back().error);
  EXPECT_EQ(events.back().error->code, ErrorCode::kOverloaded);
  EXPECT_EQ(events.back().error->message, "the request was not done within 0.2 s");
  const std::vector<Event> in_time =
      Events({.prompt = Prompt(9), .params = Greedy(2), .timeout_seconds = 100});
  EXPECT_FALSE(in_time.back().error);
}

TEST_F(EngineTest, ARequestWaitsNoLongerThanItMay) {
  Make({.max_num_seqs = 1, .queue_timeout_seconds = 0.2});
  EventQueue queue;
  const auto first = engine_->Submit({.prompt = Prompt(9), .params = Greedy(7000)}, queue.Sink(0));
  ASSERT_TRUE(first);
  while (engine_->stats().running == 0) std::this_thread::yield();
  const std::vector<Event> events = Events({.prompt = Prompt(9), .params = Greedy(1)});
  ASSERT_TRUE(events.back().error);
  EXPECT_EQ(events.back().error->code, ErrorCode::kOverloaded);
  EXPECT_EQ(events.back().error->message,
            "the request waited for its first step longer than 0.2 s");
  engine_->Abort(*first);
}

TEST_F(EngineTest, DrainWaitsForTheLastRequest) {
  EventQueue queue;
  ASSERT_TRUE(engine_->Submit({.prompt = Prompt(9), .params = Greedy(50)}, queue.Sink(0)));
  engine_->Drain();
  const std::vector<TaggedEvent> events = queue.WaitForEvents(std::chrono::seconds(0));
  ASSERT_FALSE(events.empty());
  EXPECT_TRUE(events.back().event.last);
  EXPECT_EQ(events.back().event.finish_reason, FinishReason::kLength);
  const auto refused = engine_->Submit({.prompt = Prompt(9), .params = Greedy(1)}, queue.Sink(1));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kOverloaded);
}

TEST_F(EngineTest, EachTokenHasItsTime) {
  std::vector<double> times;
  RequestTimes last;
  for (const Event& event : Events({.prompt = Prompt(9), .params = Greedy(20)})) {
    EXPECT_EQ(event.token_times.size(), event.ids.size());
    times.insert(times.end(), event.token_times.begin(), event.token_times.end());
    last = event.times;
  }
  ASSERT_EQ(times.size(), 20u);
  EXPECT_TRUE(std::ranges::is_sorted(times));
  EXPECT_LT(last.queued, last.scheduled);
  EXPECT_LT(last.scheduled, last.first_token);
  EXPECT_EQ(times.front(), last.first_token);
  EXPECT_EQ(times.back(), last.last_token);
}

TEST_F(EngineTest, AConstraintOfTheRequestsOwn) {
  const int64_t vocabulary = loaded_->config().vocab_size;
  Request request{.prompt = Prompt(9), .params = Greedy(9)};
  request.constraint = [vocabulary] { return std::make_unique<FourthTokens>(vocabulary, 5); };
  const auto alone = Generate(*engine_, request);
  ASSERT_TRUE(alone) << alone.error().message;
  ASSERT_EQ(alone->ids.size(), 9u);
  for (size_t i = 0; i < alone->ids.size(); ++i)
    EXPECT_TRUE(i < 5 ? alone->ids[i] % 4 == 0 : alone->ids[i] == 0) << i;
  // With a grammar as well: after 5 tokens, the constraint allows only token 0, and the grammar
  // does not allow token 0.
  request.params.structured_outputs = {.regex = "[a-z]+"};
  const auto both = Generate(*engine_, request);
  ASSERT_FALSE(both);
  EXPECT_EQ(both.error().message, "constraints: they allow no token in common");
}

TEST_F(EngineTest, DraftsFromOtherTextsChangeNothingButTheSteps) {
  const GenerateResult plain = Run(Greedy(60));
  Make({.speculative_tokens = 8});
  Request request{.prompt = Prompt(9), .params = Greedy(60)};
  request.draft_texts = {{1, 2, 3}, plain.ids};
  const auto drafted = Generate(*engine_, request);
  ASSERT_TRUE(drafted) << drafted.error().message;
  EXPECT_EQ(drafted->ids, plain.ids);
  EXPECT_EQ(drafted->logprobs, plain.logprobs);
  EXPECT_GT(engine_->stats().accepted_tokens, 30);
  request.draft_texts = {{-1}};
  const auto refused = engine_->Submit(request, [](const Event&) {});
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().message.starts_with("draft_texts: token -1: expected an id from 0"));
}

// The parser's work grows with the cube of the text's length, until the engine ends the request.
// Other requests continue.
TEST_F(EngineTest, AGrammarTooAmbiguousEndsItsRequest) {
  SamplingParams params = Greedy(1000);
  params.min_tokens = 1000;
  params.structured_outputs = {.grammar = "root ::= \"\" | root root | [a-z ]"};
  EventQueue queue;
  ASSERT_TRUE(engine_->Submit({.prompt = Prompt(9), .params = params}, queue.Sink(0)));
  EXPECT_EQ(Run(Greedy(300)).ids.size(), 300u);
  Event last;
  int64_t tokens = 0;
  while (!last.last) {
    for (TaggedEvent& tagged : queue.WaitForEvents(std::chrono::seconds(60))) {
      tokens += std::ssize(tagged.event.ids);
      last = std::move(tagged.event);
    }
  }
  EXPECT_GT(tokens, 5);
  EXPECT_EQ(last.finish_reason, FinishReason::kError);
  ASSERT_TRUE(last.error);
  EXPECT_TRUE(last.error->message.starts_with("structured_outputs: too ambiguous: more than "))
      << last.error->message;
  EXPECT_EQ(last.error->field, "structured_outputs");
}

// An abort does not wait for a mask that background threads prepare.
TEST_F(EngineTest, WhatWaitsForItsMaskCanBeAborted) {
  Make({.constraint_work = 0});
  SamplingParams params = Greedy(1000);
  params.min_tokens = 1000;
  params.structured_outputs = {.grammar = "root ::= \"\" | root root | [a-z ]"};
  EventQueue queue;
  const auto id = engine_->Submit({.prompt = Prompt(9), .params = params}, queue.Sink(0));
  ASSERT_TRUE(id);
  ASSERT_FALSE(queue.WaitForEvents(std::chrono::seconds(60)).empty());
  engine_->Abort(*id);
  Event last;
  while (!last.last)
    for (TaggedEvent& tagged : queue.WaitForEvents(std::chrono::seconds(60)))
      last = std::move(tagged.event);
  EXPECT_EQ(last.finish_reason, FinishReason::kAbort);
  EXPECT_EQ(engine_->stats().running + engine_->stats().waiting, 0);
}

// Of 16,384 sequences, no more exist than run. An abort ends all of them.
TEST_F(EngineTest, SequencesBeginAsThereIsRoom) {
  Make({.max_num_seqs = 4});
  SamplingParams params{
      .n = 16384, .repetition_penalty = 1.5, .seed = 1, .max_tokens = 50, .ignore_eos = true};
  EventQueue queue;
  const auto many = engine_->Submit({.prompt = Prompt(500), .params = params}, queue.Sink(0));
  ASSERT_TRUE(many);
  // Another request is served among the sequences.
  EXPECT_EQ(Run(Greedy(20)).ids.size(), 20u);
  EXPECT_LE(engine_->stats().running + engine_->stats().waiting, 5);
  engine_->Abort(*many);
  std::vector<int> ends(16384);
  for (bool last = false; !last;) {
    for (const TaggedEvent& tagged : queue.WaitForEvents(std::chrono::seconds(10))) {
      last = tagged.event.last;
      ends[static_cast<size_t>(tagged.event.index)] += tagged.event.finish_reason.has_value();
    }
  }
  EXPECT_TRUE(std::ranges::all_of(ends, [](int n) { return n == 1; }));
  EXPECT_EQ(engine_->stats().running + engine_->stats().waiting, 0);
}

// Without an EOS id, a structured text ends when it is complete.
TEST(EngineWithoutEos, AWholeTextEnds) {
  const TinyCheckpoint checkpoint(LlamaSizes{}, {});
  const LoadedModel loaded = checkpoint.Load({.threads = 1});
  ASSERT_TRUE(loaded.config().eos_token_ids.empty());
  for (const int64_t work : {40'000, 0}) {  // masks by the engine's thread, or by others
    Engine engine(loaded.model(), loaded.tokenizer, {.constraint_work = work});
    for (const char* choice : {"ab", ""}) {
      SamplingParams params{.temperature = 0, .max_tokens = 50, .min_tokens = 20};
      params.structured_outputs = {.choice = {{choice}}};
      const auto result = Generate(engine, {.prompt = {5, 6}, .params = params});
      ASSERT_TRUE(result) << result.error().message;
      EXPECT_EQ(result->text, choice);
      EXPECT_EQ(result->finish_reason, FinishReason::kStop);
    }
  }
}

}  // namespace
}  // namespace merope
