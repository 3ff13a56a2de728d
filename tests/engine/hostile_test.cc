// Requests that ask for as much as they can: each is refused or answered with bounded work, and
// nobody else notices.
#include "tests/engine/hostile.h"

#include <dirent.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <fstream>
#include <map>

#include "engine/event_queue.h"
#include "engine/generate.h"
#include "tests/engine/grammar.h"
#include "tests/engine/tiny_model.h"

namespace merope {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kBounds = false;  // sanitizers take several times as much of everything
#else
constexpr bool kBounds = true;
#endif
constexpr double kMaxSeconds = 2;
constexpr int64_t kMaxBytes = 512 << 20;

double ThreadSeconds() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// The most memory that the process has held since the last call of ForgetPeak.
int64_t PeakBytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    int64_t kilobytes = 0;
    if (word == "VmHWM:" && status >> kilobytes) return kilobytes * 1024;
  }
  return 0;
}
int64_t ForgetPeak() {
  std::ofstream("/proc/self/clear_refs") << "5";
  return PeakBytes();
}

std::string Summary(const StructuredOutputs& outputs) {
  for (const auto* text : {&outputs.regex, &outputs.json, &outputs.grammar})
    if (*text) return (*text)->substr(0, 100);
  return "choices";
}

TEST(Hostile, GrammarsTakeBoundedWork) {
  std::vector<std::string> words;
  for (int i = 0; i < 2000; ++i)
    words.push_back(std::string(1, static_cast<char>('a' + i % 26)) + std::to_string(i));
  TestGrammars grammars(words);
  HostileRequests hostile(1, 400);
  const int64_t before = ForgetPeak();
  int refused = 0;
  std::vector<StructuredOutputs> all = {{.regex = Repeated("a?", 130'000)}};
  for (int i = 0; i < 2 * HostileRequests::kGrammars; ++i) all.push_back(hostile.Grammar(i));
  for (const StructuredOutputs& outputs : all) {
    const double start = ThreadSeconds();
    const auto grammar = grammars.Compile(outputs);
    const double took = ThreadSeconds() - start;
    if (kBounds) {
      EXPECT_LT(took, kMaxSeconds) << Summary(outputs);
    }
    if (took > 0.5 || getenv("VERBOSE"))
      printf("%.3f s  %.60s  %.90s\n", took, Summary(outputs).c_str(),
             grammar ? "compiled" : grammar.error().message.c_str());
    refused += !grammar;
    if (!grammar) continue;
    Constraint constraint(*grammar);
    for (int i = 0; i < 20; ++i) {
      const double mask_start = ThreadSeconds();
      const auto allowed = grammars.Allowed(constraint);
      if (kBounds) {
        EXPECT_LT(ThreadSeconds() - mask_start, 0.1) << Summary(outputs);
      }
      if (allowed.empty()) break;
      constraint.Accept(allowed.back());
    }
  }
  EXPECT_GT(refused, std::ssize(all) / 2);
  if (kBounds) {
    EXPECT_LT(PeakBytes() - before, kMaxBytes);
  }
}

TEST(Hostile, WhatIsTooMuchWorkIsRefusedByNameAndTheRestIsQuick) {
  TestGrammars grammars;
  const std::string nullable = ErrorOf(grammars.Compile({.regex = Repeated("a?", 130'000)}));
  EXPECT_TRUE(Contains(nullable, "regex: too large: it needs more than")) << nullable;
  std::string definitions, values;
  for (int i = 0; i < 15; ++i) {
    const std::string next = fmt::format("{{\"$ref\":\"#/$defs/d{}\"}}", i + 1);
    definitions += fmt::format("\"d{}\":{{\"allOf\":[{}{}]}},", i, Repeated(next + ",", 7), next);
  }
  const std::string doubling = ErrorOf(grammars.Compile(
      {.json = R"({"$ref":"#/$defs/d0","$defs":{)" + definitions + "\"d15\":{}}}"}));
  EXPECT_TRUE(Contains(doubling, "json: ")) << doubling;
  EXPECT_TRUE(Contains(doubling, "too large: it needs more than")) << doubling;
  for (int i = 0; i < 15'000; ++i) values += fmt::format("{}{{\"const\":{}}}", i ? "," : "", i);
  const double start = ThreadSeconds();
  EXPECT_TRUE(grammars.Compile({.json = "{\"oneOf\":[" + values + "]}"}));
  if (kBounds) {
    EXPECT_LT(ThreadSeconds() - start, kMaxSeconds);  // compared in order, not in pairs
  }
}

// ------------------------------------------------------------------------------ beside others

// What of a step's time others may take, the options say: here one row beside the ordinary
// request's. The times are printed, not judged: masks of an ambiguous grammar still take
// milliseconds.
class HostileEngine : public testing::Test {
 protected:
  static constexpr int32_t kVocabulary = 2000;
  HostileEngine()
      : checkpoint_({.hidden = 256,
                     .intermediate = 512,
                     .layers = 4,
                     .head_dim = 64,
                     .vocabulary = kVocabulary,
                     .context = 2048}),
        loaded_(checkpoint_.Load(
            {.threads = 1, .llama = {.max_batch_tokens = 2, .kv_tokens = 8 * 2048}})),
        engine_(loaded_.model(), loaded_.tokenizer, {.max_num_seqs = 2}) {}

  struct Run {
    GenerateResult result;
    double p99_work = 0, p99_wall = 0;  // between two tokens: of the engine's thread; of the clock
  };
  // An ordinary request; priority has no effect on it.
  Run Ordinary() {
    SamplingParams params{.seed = 3, .max_tokens = 300, .logprobs = 0, .ignore_eos = true};
    std::vector<double> work, wall;
    Run run;
    EventQueue queue;
    const auto pass_on = queue.Sink(0);
    const auto id = engine_.Submit({.prompt = {9, 8, 7}, .params = params}, [&](Event event) {
      work.push_back(ThreadSeconds());
      timespec now = {};
      clock_gettime(CLOCK_MONOTONIC, &now);
      wall.push_back(static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9);
      pass_on(std::move(event));
    });
    CHECK(id.has_value());
    for (bool last = false; !last;) {
      for (TaggedEvent& tagged : queue.Take(std::chrono::seconds(10))) {
        for (const int32_t token : tagged.event.ids) run.result.ids.push_back(token);
        for (const auto& position : tagged.event.logprobs)
          run.result.logprobs.push_back(position.front().logprob);
        last = tagged.event.last;
      }
    }
    run.p99_work = P99(work);
    run.p99_wall = P99(wall);
    return run;
  }
  static double P99(const std::vector<double>& times) {
    std::vector<double> between;
    for (size_t i = 1; i < times.size(); ++i) between.push_back(times[i] - times[i - 1]);
    std::ranges::sort(between);
    return between[between.size() * 99 / 100];
  }

  TinyCheckpoint checkpoint_;
  LoadedModel loaded_;
  Engine engine_;
};

// Nice values of the process's threads.
std::vector<int> Priorities() {
  std::vector<int> all;
  DIR* tasks = opendir("/proc/self/task");
  while (const dirent* entry = readdir(tasks)) {
    if (entry->d_name[0] != '.')
      all.push_back(getpriority(PRIO_PROCESS, static_cast<id_t>(atoi(entry->d_name))));
  }
  closedir(tasks);
  return all;
}

TEST_F(HostileEngine, NobodyElseNotices) {
  const Run alone = Ordinary();
  const int64_t before = ForgetPeak();

  HostileRequests hostile(2, kVocabulary);
  EventQueue queue;
  std::vector<RequestId> ids;
  std::map<size_t, int64_t> ends;  // wanted still
  int refused = 0, sent = 0;
  const auto send = [&](Request request) {
    const int64_t n = request.params.n;
    const double start = ThreadSeconds();
    const auto id = engine_.Submit(std::move(request), queue.Sink(ids.size()));
    if (kBounds) {
      EXPECT_LT(ThreadSeconds() - start, 0.25) << sent;
    }
    ++sent;
    if (!id) {
      ++refused;
      return;
    }
    ends[ids.size()] = n;
    ids.push_back(*id);
  };
  const auto grammar = [&](int kind) {
    Request request{.prompt = {5, 6, 7}, .params = {.seed = 1, .max_tokens = 8}};
    request.params.structured_outputs = hostile.Grammar(kind);
    return request;
  };
  for (int i = 0; i < 36; ++i) send(hostile.Params(i));
  for (int i = 0; i < 100; ++i) send(grammar(i));
  std::thread more([&] {
    for (int i = 36; i < 102; ++i) send(i % 2 ? hostile.Params(i) : grammar(i));
  });
  const Run beside = Ordinary();
  more.join();
  EXPECT_EQ(std::ranges::count(Priorities(), 19), 2);  // those that compile

  EXPECT_EQ(beside.result.ids, alone.result.ids);
  EXPECT_EQ(beside.result.logprobs, alone.result.logprobs);  // the same bits
  printf(
      "p99 of the engine's work between tokens: %.2f ms alone, %.2f ms beside; of the clock: %.2f "
      "and %.2f ms; %d of %d refused at once; %+.0f MB\n",
      alone.p99_work * 1e3, beside.p99_work * 1e3, alone.p99_wall * 1e3, beside.p99_wall * 1e3,
      refused, sent, static_cast<double>(PeakBytes() - before) / 1e6);
  if (kBounds) {
    EXPECT_LT(PeakBytes() - before, kMaxBytes);
  }
  EXPECT_EQ(sent, 202);
  // Each has come to an end, or does now.
  for (const RequestId id : ids) engine_.Abort(id);
  while (!ends.empty()) {
    const auto events = queue.Take(std::chrono::seconds(60));
    ASSERT_FALSE(events.empty());
    for (const TaggedEvent& tagged : events) {
      if (tagged.event.finish_reason) --ends[tagged.tag];
      EXPECT_EQ(tagged.event.last, ends[tagged.tag] == 0);
      if (tagged.event.last) ends.erase(tagged.tag);
    }
  }
  EXPECT_EQ(engine_.stats().running + engine_.stats().waiting, 0);
  EXPECT_EQ(Ordinary().result.ids, alone.result.ids);
}

}  // namespace
}  // namespace merope
