#include "rag/eval_run.h"

#include <fmt/format.h>

#include <chrono>
#include <optional>
#include <utility>

#include "base/stopwatch.h"
#include "engine/event_queue.h"

namespace merope {
namespace {

// How often the caller's thread looks for an interrupt.
constexpr std::chrono::milliseconds kEvalPatience{50};

// A question in the engine.
struct Asked {
  RagJob job;
  RequestId request;
};

}  // namespace

Result<std::vector<EvalAnswer>> AnswerQuestions(Engine& engine, const RagModel& model,
                                                std::span<const EvalQuestion> questions,
                                                const EvalRunOptions& options) {
  EventQueue queue;
  std::vector<std::optional<Asked>> asked(questions.size());
  std::vector<std::optional<EvalAnswer>> answers(questions.size());
  const Stopwatch watch;
  size_t next = 0;
  int64_t running = 0, done = 0;
  std::optional<Error> failure;
  const auto stopped = [&] {
    return failure || (options.interrupted != nullptr && options.interrupted->load());
  };
  const auto ask = [&]() -> Status {
    const EvalQuestion& question = questions[next];
    TRY_ASSIGN(RagJob job, model.Prepare({.query = question.query,
                                          .sources = question.sources,
                                          .fast = options.fast,
                                          .plain = options.plain},
                                         options.ask));
    TRY_ASSIGN(const RequestId request, engine.Submit(job.TakeRequest(), queue.Sink(next)));
    asked[next].emplace(std::move(job), request);
    ++next;
    ++running;
    return {};
  };
  const auto name = [&](size_t i) {
    return questions[i].id.empty() ? fmt::format("question {}", i + 1) : questions[i].id;
  };
  while (running > 0 || (next < questions.size() && !stopped())) {
    while (!stopped() && next < questions.size() && running < options.together)
      if (const Status status = ask(); !status)
        failure = Error{fmt::format("{}: {}", name(next), status.error().message)};
    if (stopped())
      for (const std::optional<Asked>& one : asked)
        if (one) engine.Abort(one->request);
    if (running == 0) break;
    for (TaggedEvent& tagged : queue.WaitForEvents(kEvalPatience)) {
      Asked& one = *asked[tagged.tag];
      one.job.Read(tagged.event);
      if (!tagged.event.last) continue;
      --running;
      if (tagged.event.error && !failure)
        failure = Error{fmt::format("{}: {}", name(tagged.tag), tagged.event.error->message)};
      if (!stopped()) answers[tagged.tag] = EvalOf(one.job.result());
      asked[tagged.tag].reset();
      ++done;
      if (options.progress) options.progress(done, std::ssize(questions));
    }
  }
  if (failure) return std::unexpected(*std::move(failure));
  std::vector<EvalAnswer> whole;
  for (std::optional<EvalAnswer>& answer : answers) {
    if (!answer) break;
    whole.push_back(*std::move(answer));
  }
  for (EvalAnswer& answer : whole)
    answer.seconds = watch.Seconds() / static_cast<double>(whole.size());
  return whole;
}

}  // namespace merope
