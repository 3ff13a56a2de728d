#include "events.h"

#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include <array>
#include <string>
#include <utility>

#include "convert.h"

namespace merope::python {
namespace {

// Returns one list [(id, logprob, rank), …] per position.
nb::list ToPython(const std::vector<PositionLogprobs>& positions) {
  nb::list list;
  for (const PositionLogprobs& position : positions) {
    nb::list entries;
    for (const TokenLogprob& token : position)
      entries.append(nb::make_tuple(token.id, token.logprob, token.rank));
    list.append(std::move(entries));
  }
  return list;
}

}  // namespace

Events::Events() = default;

EventSink Events::Sink(size_t tag) {
  return [sink = queue_.Sink(tag), bell = bell_](Event event) {
    sink(std::move(event));
    bell->Ring();
  };
}

int Events::fileno() const { return bell_->fileno(); }

std::vector<TaggedEvent> Events::Take() {
  bell_->Still();
  return queue_.WaitForEvents(std::chrono::milliseconds(0));
}

void BindEvents(nb::module_& m) {
  nb::class_<TaggedEvent>(m, "Event")
      .def_ro("tag", &TaggedEvent::tag)
      .def_prop_ro("index", [](const TaggedEvent& self) { return self.event.index; })
      .def_prop_ro("ids", [](const TaggedEvent& self) { return self.event.ids; })
      .def_prop_ro("text", [](const TaggedEvent& self) { return self.event.text; })
      .def_prop_ro(
          "logprobs", [](const TaggedEvent& self) { return ToPython(self.event.logprobs); },
          nb::sig("def logprobs(self) -> list[list[tuple[int, float, int]]]"))
      .def_prop_ro("cumulative_logprob",
                   [](const TaggedEvent& self) { return self.event.cumulative_logprob; })
      .def_prop_ro("finish_reason",
                   [](const TaggedEvent& self) -> std::optional<std::string_view> {
                     if (!self.event.finish_reason) return std::nullopt;
                     return FinishReasonName(*self.event.finish_reason);
                   })
      .def_prop_ro("stop_reason", [](const TaggedEvent& self) { return self.event.stop_reason; })
      .def_prop_ro("cached_tokens",
                   [](const TaggedEvent& self) { return self.event.cached_tokens; })
      .def_prop_ro(
          "prompt_logprobs",
          [](const TaggedEvent& self) { return ToPython(self.event.prompt_logprobs); },
          nb::sig("def prompt_logprobs(self) -> list[list[tuple[int, float, int]]]"))
      // (4): the times queued, scheduled, first token and last token, in seconds of the steady
      // clock. 0 if the stage was not reached.
      .def_prop_ro(
          "times",
          [](const TaggedEvent& self) {
            const RequestTimes& t = self.event.times;
            return std::array{t.queued, t.scheduled, t.first_token, t.last_token};
          },
          nb::sig("def times(self) -> list[float]"))
      .def_prop_ro("last", [](const TaggedEvent& self) { return self.event.last; })
      // True if the request itself is invalid (kInvalid).
      .def_prop_ro("refused",
                   [](const TaggedEvent& self) {
                     return self.event.error && self.event.error->code == ErrorCode::kInvalid;
                   })
      .def_prop_ro("error", [](const TaggedEvent& self) {
        return self.event.error ? self.event.error->message : "";
      });

  nb::class_<Events>(m, "Events")
      .def(nb::init<>())
      .def("fileno", &Events::fileno,
           "A file descriptor, which is readable when take() would return events.")
      .def("take", &Events::Take, "Returns all events that have arrived, in order. Does not wait.");
}

}  // namespace merope::python
