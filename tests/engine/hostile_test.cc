// Requests that ask for as much work as they can. Each is refused or answered with bounded work,
// and other requests are not affected.
#include "tests/engine/hostile.h"

#include <dirent.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <ctime>
#include <fstream>
#include <map>

#include "engine/event_queue.h"
#include "engine/generate.h"
#include "tests/engine/tiny_model.h"
#include "tests/grammar/grammar.h"

namespace merope {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kBounds = false;  // sanitizers take several times the time and the memory
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

// The peak of the process's memory since the last call of ForgetPeak.
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
  for (int i = 0; i < (kBounds ? 2 : 1) * HostileRequests::kGrammars; ++i)
    all.push_back(hostile.Grammar(i));
  for (const StructuredOutputs& outputs : all) {
    const double start = ThreadSeconds();
    const auto grammar = grammars.Compile(outputs);
    double took = ThreadSeconds() - start;
    if (grammar) {  // also prepares masks for the first tokens of a text
      GrammarConstraint constraint(*grammar);
      for (int i = 0; i < 8; ++i) {
        if (!constraint.Prepare(TokenConstraint::MostWork(i) - constraint.work())) break;
        const std::vector<int32_t> allowed = grammars.Allowed(constraint);
        if (allowed.empty()) break;
        constraint.Accept(allowed.back());
      }
      took = ThreadSeconds() - start;
    }
    if (kBounds) {
      EXPECT_LT(took, kMaxSeconds) << Summary(outputs);
    }
    if (took > 0.5 || getenv("VERBOSE"))
      printf("%.3f s  %.60s  %.90s\n", took, Summary(outputs).c_str(),
             grammar ? "compiled" : grammar.error().message.c_str());
    refused += !grammar;
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
    EXPECT_LT(ThreadSeconds() - start, kMaxSeconds);  // values are compared in order, not in pairs
  }
}

// ----------------------------------------------------------------- beside an ordinary request

// The options bound the part of a step that other requests can take: here one row, beside the row
// of the ordinary request.
class HostileEngine : public testing::Test {
 protected:
  // Starts an engine with the model at `path`.
  void Start(const std::string& path, int threads, int64_t prompt) {
    prompt_ = prompt;
    auto loaded = LoadModel(
        {path,
         {.threads = threads,
          .llama = {.max_model_len = 2048, .max_batch_tokens = 2, .kv_tokens = 8 * 2048}}});
    CHECK(loaded.has_value(), "{}", loaded.error().message);
    loaded_.emplace(*std::move(loaded));
    engine_.emplace(loaded_->model(), loaded_->tokenizer,
                    EngineOptions{.max_num_seqs = 2, .policy = SchedulingPolicy::kPriority});
  }

  struct Run {
    GenerateResult result;
    double p99_work = 0, p99_wall = 0;  // between tokens: the engine thread's CPU time; wall time
  };
  // Runs an ordinary request. Its priority puts it before all waiting requests, because the test is
  // about the requests that run beside it.
  Run Ordinary() {
    SamplingParams params{
        .seed = 3, .max_tokens = kBounds ? 250 : 50, .logprobs = 0, .ignore_eos = true};
    const std::vector<int32_t> prompt(static_cast<size_t>(prompt_), 9);
    std::vector<double> work, wall;
    Run run;
    EventQueue queue;
    // The sink may still run when the last event has been taken from the queue. The engine keeps
    // the sink alive.
    const auto id = engine_->Submit(
        {.prompt = prompt, .params = params, .priority = kFirst},
        [&work, &wall, pass_on = queue.Sink(0)](Event event) {
          work.push_back(ThreadSeconds());
          timespec now = {};
          clock_gettime(CLOCK_MONOTONIC, &now);
          wall.push_back(static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9);
          pass_on(std::move(event));
        });
    CHECK(id.has_value());
    for (bool last = false; !last;) {
      for (TaggedEvent& tagged : queue.WaitForEvents(std::chrono::seconds(10))) {
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
  static constexpr int64_t kFirst = std::numeric_limits<int64_t>::min();
  static double P99(const std::vector<double>& times) {
    std::vector<double> between;
    for (size_t i = 1; i < times.size(); ++i) between.push_back(times[i] - times[i - 1]);
    std::ranges::sort(between);
    return between[between.size() * 99 / 100];
  }

  void NobodyElseNotices(bool by_the_clock);

  int64_t prompt_ = 1;  // tokens of the ordinary request's prompt
  std::optional<LoadedModel> loaded_;
  std::optional<Engine> engine_;
};

// The nice values of the process's threads.
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

void HostileEngine::NobodyElseNotices(bool by_the_clock) {
  Ordinary();  // warm-up
  const Run alone = Ordinary();
  const int64_t before = ForgetPeak();

  HostileRequests hostile(2, static_cast<int32_t>(loaded_->config().vocab_size));
  EventQueue queue;
  std::vector<RequestId> ids;
  std::map<size_t, int64_t> ends;  // by tag: the sequences that have not ended
  int refused = 0, sent = 0;
  const auto send = [&](Request request) {
    const int64_t n = request.params.n;
    const double start = ThreadSeconds();
    const auto id = engine_->Submit(std::move(request), queue.Sink(ids.size()));
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
    Request request{.prompt = {5, 6, 7},
                    .params = {.seed = 1, .max_tokens = 60, .min_tokens = 60, .ignore_eos = true}};
    request.params.structured_outputs = hostile.Grammar(kind);
    return request;
  };
  // Reads the events that have arrived. The last event of a request comes when all its sequences
  // have ended.
  const auto read = [&] {
    for (const TaggedEvent& tagged : queue.WaitForEvents(std::chrono::milliseconds(0))) {
      if (tagged.event.finish_reason) --ends[tagged.tag];
      EXPECT_EQ(tagged.event.last, ends[tagged.tag] == 0);
      if (tagged.event.last) ends.erase(tagged.tag);
    }
  };
  for (int i = 0; i < 50; ++i) send(grammar(i));
  std::thread more([&] {
    for (int i = 0; i < 102; ++i) send(hostile.Params(i));
    for (int i = 50; i < 100; ++i) send(grammar(i));
  });
  const Run beside = Ordinary();
  more.join();
  EXPECT_EQ(sent, 202);
  EXPECT_EQ(std::ranges::count(Priorities(), 19), 2);  // the threads that compile grammars
  read();
  const Run later = Ordinary();
  printf(
      "p99 between tokens, of the engine's thread: %.2f ms alone, %.2f and %.2f ms beside; of the "
      "clock: %.2f, %.2f and %.2f ms; %d of %d refused at once, %zu ended meanwhile; %+.0f MB\n",
      alone.p99_work * 1e3, beside.p99_work * 1e3, later.p99_work * 1e3, alone.p99_wall * 1e3,
      beside.p99_wall * 1e3, later.p99_wall * 1e3, refused, sent, ids.size() - ends.size(),
      static_cast<double>(PeakBytes() - before) / 1e6);
  for (const Run& run : {beside, later}) {
    EXPECT_EQ(run.result.ids, alone.result.ids);
    EXPECT_EQ(run.result.logprobs, alone.result.logprobs);  // the same bits
    if (kBounds) {
      EXPECT_LT(run.p99_work, 3 * alone.p99_work);
    }
  }
  if (kBounds) {
    EXPECT_LT(PeakBytes() - before, kMaxBytes);
  }
  for (const RequestId id : ids) engine_->Abort(id);
  while (!ends.empty()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    read();
  }
  EXPECT_EQ(engine_->stats().running + engine_->stats().waiting, 0);
  const Run again = Ordinary();
  EXPECT_EQ(again.result.ids, alone.result.ids);
  if (kBounds && by_the_clock) {  // the machine may be busy with other work, too
    EXPECT_LT(std::min(beside.p99_wall, later.p99_wall),
              3 * std::max(alone.p99_wall, again.p99_wall));
  }
}

TEST_F(HostileEngine, NobodyElseNotices) {
  const TinyCheckpoint checkpoint({.hidden = 256,
                                   .intermediate = 512,
                                   .layers = 4,
                                   .head_dim = 64,
                                   .vocabulary = 2000,
                                   .context = 2048});
  Start(checkpoint.path(), 1, kBounds ? 1000 : 100);
  // The kernel gives a thread of the lowest priority time slices of some milliseconds. A token of
  // this model takes less time, so the wall time would show these slices.
  NobodyElseNotices(false);
}

TEST_F(HostileEngine, NobodyElseNoticesOfARealModel) {
  const char* model = std::getenv("MEROPE_SMOLLM2");
  if (model == nullptr) GTEST_SKIP() << "MEROPE_SMOLLM2 is not set: no real model";
  Start(model, 0, 100);
  NobodyElseNotices(true);
}

}  // namespace
}  // namespace merope
