#include "job.h"

#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>

#include "base/json.h"
#include "convert.h"
#include "hub/pull.h"

namespace merope::python {
namespace {

using nb::literals::operator""_a;

// Text of a server or of a path, with U+FFFD in place of bytes that are not UTF-8: Python's strings
// hold no such bytes.
std::string Readable(const std::string& text) {
  const auto json = ParseJson(DumpJson(text), "");
  return json && json->is_string() ? json->get<std::string>() : text;
}

// The package's name of an argument whose option on the command line has this name.
std::string ArgumentName(std::string option) {
  if (option == "kv-dtype") return "kv_cache_dtype";
  if (option == "threads") return "num_threads";
  std::ranges::replace(option, '-', '_');
  return option;
}

}  // namespace

Job::Job(JobWork work) : running_(std::make_unique<Running>()) {
  Running* running = running_.get();
  JobReport report{.stop = running->stop,
                   .say =
                       [running](const std::string& line) {
                         {
                           const std::scoped_lock lock(running->mutex);
                           running->lines.push_back(line);
                         }
                         running->bell.Ring();
                       },
                   .progress =
                       [running](std::string_view phase, int64_t done, int64_t total) {
                         {
                           const std::scoped_lock lock(running->mutex);
                           std::vector<Step>& steps = running->steps;
                           if (steps.empty() || std::get<0>(steps.back()) != phase)
                             steps.emplace_back(phase, 0, 0);
                           std::get<1>(steps.back()) = done;
                           std::get<2>(steps.back()) = total;
                         }
                         running->bell.Ring();
                       }};
  running->thread = std::thread([running, report = std::move(report), work = std::move(work)] {
    try {
      running->result = work(report);
    } catch (...) {  // std::bad_alloc, or a thread that cannot be made
      running->exception = std::current_exception();
    }
    running->finished = true;
    running->bell.Ring();
  });
}

// A forked child process has no such thread, and cannot join it.
Job::~Job() {
  if (getpid() != process_) {
    (void)running_.release();
    return;
  }
  const nb::gil_scoped_release without_gil;
  running_->stop.Raise();
  running_->thread.join();
}

std::pair<std::vector<std::string>, std::vector<Job::Step>> Job::Take() {
  running_->bell.Still();
  std::pair<std::vector<std::string>, std::vector<Step>> taken;
  {
    const std::scoped_lock lock(running_->mutex);
    taken = {std::exchange(running_->lines, {}), std::exchange(running_->steps, {})};
  }
  for (std::string& line : taken.first) line = Readable(line);
  return taken;
}

std::string Job::TakeResult() {
  if (!finished()) throw std::runtime_error("the work has not finished");
  if (running_->exception) std::rethrow_exception(running_->exception);
  Result<std::string> result = running_->result;
  if (!result) {
    Error& error = result.error();
    if (error.message.starts_with(error.field))
      error.message.replace(0, error.field.size(), ArgumentName(error.field));
    error.message = Readable(error.message);
  }
  return Unwrap(std::move(result));
}

Result<std::string> FindModel(const std::string& model, const JobReport& report) {
  HubSettings settings = SettingsOfEnvironment();
  settings.stop = report.stop;
  const auto progress = [&report](int64_t done, int64_t total, int64_t) {
    constexpr int64_t kMega = 1'000'000;
    report.progress("fetching, MB", done / kMega, (total + kMega - 1) / kMega);
  };
  return LocalModel(model, settings, {.say = report.say, .progress = progress});
}

void BindJob(nb::module_& m) {
  nb::class_<Job>(m, "Job")
      .def("fileno", &Job::fileno)
      .def("take", &Job::Take,
           nb::sig("def take(self) -> tuple[list[str], list[tuple[str, int, int]]]"))
      .def("stop", &Job::Stop)
      .def_prop_ro("finished", &Job::finished)
      .def("result", &Job::TakeResult);
  m.def(
      "find_model",
      [](const std::string& model) {
        return new Job([model](const JobReport& report) { return FindModel(model, report); });
      },
      "model"_a);
}

}  // namespace merope::python
