#include "endpoint/ask_all.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <new>
#include <optional>
#include <system_error>
#include <thread>

namespace merope {

Result<std::vector<CompletionAnswer>> AskAll(
    const Endpoint& endpoint, const std::vector<CompletionQuery>& queries, int64_t width,
    const std::function<void(int64_t done, int64_t total)>& progress) {
  const int64_t n = std::ssize(queries);
  std::vector<CompletionAnswer> answers(queries.size());
  std::atomic<int64_t> next = 0;
  std::atomic<bool> failed = false;
  std::mutex mutex;  // of `done` and `error`
  int64_t done = 0;
  std::optional<Error> error;
  const auto ask = [&](Endpoint& client, size_t i) -> Status {
    TRY_ASSIGN(answers[i], client.Complete(queries[i]));
    const std::scoped_lock lock(mutex);
    progress(++done, n);
    return {};
  };
  const auto run = [&] {
    Status status;
    try {
      Endpoint client = endpoint.Again();
      for (int64_t i = next++; i < n && !failed && status; i = next++)
        status = ask(client, static_cast<size_t>(i));
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
  return answers;
}

}  // namespace merope
