#include "engine/generate.h"

#include <utility>

#include "engine/event_queue.h"

namespace merope {
namespace {

// How often a waiting caller checks whether the request was cancelled.
constexpr std::chrono::milliseconds kPatience{50};

}  // namespace

Result<GenerateResult> Generate(Engine& engine, Request request,
                                const std::function<bool(const Event&)>& reader,
                                const std::atomic<bool>* cancelled) {
  CHECK(request.params.n == 1);
  GenerateResult result;
  result.prompt_tokens = std::ssize(request.prompt);
  EventQueue queue;
  TRY_ASSIGN(const RequestId id, engine.Submit(std::move(request), queue.Sink(0)));
  bool refused = false;  // `reader` returned false
  while (true) {
    if (refused || (cancelled != nullptr && cancelled->load(std::memory_order_relaxed)))
      engine.Abort(id);
    for (TaggedEvent& tagged : queue.WaitForEvents(kPatience)) {
      Event& event = tagged.event;
      result.ids.insert(result.ids.end(), event.ids.begin(), event.ids.end());
      for (const double time : event.token_times)
        result.token_times.push_back(time - event.times.queued);
      for (const PositionLogprobs& position : event.logprobs)
        result.logprobs.push_back(position.front().logprob);
      result.text += event.text;
      result.forced += event.forced;
      if (reader && !refused) refused = !reader(event);
      if (!event.last) continue;
      if (event.error) return std::unexpected(*std::move(event.error));
      result.finish_reason = *event.finish_reason;
      if (const auto* stop = std::get_if<std::string>(&event.stop_reason))
        result.stop_reason = *stop;
      return result;
    }
  }
}

}  // namespace merope
