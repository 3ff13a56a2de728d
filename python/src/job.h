// Long work for Python on a thread of its own, which never takes the GIL: fetching a model, a
// verification, a benchmark. Python waits for fileno(), so that Ctrl-C is seen at once, and then
// stops the work. Called with the GIL, by one Python thread.
#pragma once

#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/stop.h"
#include "bell.h"

namespace merope::python {

// How the work speaks to Python. Any thread may call the functions.
struct JobReport {
  StopFlag stop;
  std::function<void(const std::string& line)> say;  // a line for people
  std::function<void(std::string_view phase, int64_t done, int64_t total)> progress;
};
using JobWork = std::function<Result<std::string>(const JobReport&)>;

class Job {
 public:
  explicit Job(JobWork work);
  // Stops the work, and waits for its end.
  ~Job();
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  int fileno() const { return running_->bell.fileno(); }   // readable when Take returns something
  using Step = std::tuple<std::string, int64_t, int64_t>;  // phase, done, total
  // The lines and the steps since the last call. Of the steps of one phase, only the last is kept.
  std::pair<std::vector<std::string>, std::vector<Step>> Take();
  void Stop() { running_->stop.Raise(); }
  bool finished() const { return running_->finished; }
  // What the work has returned. Throws its error, or the exception that ended it. Requires
  // finished.
  std::string TakeResult();

 private:
  struct Running {
    Bell bell;
    StopFlag stop = StopFlag::Make();
    std::mutex mutex;  // guards lines and steps
    std::vector<std::string> lines;
    std::vector<Step> steps;
    std::atomic<bool> finished{false};
    Result<std::string> result;  // this and exception: set before finished
    std::exception_ptr exception;
    std::thread thread;
  };

  pid_t process_ = getpid();
  std::unique_ptr<Running> running_;
};

// The path of the model that the user named, which is fetched if need be (LocalModel in
// hub/pull.h).
Result<std::string> FindModel(const std::string& model, const JobReport& report);

}  // namespace merope::python
