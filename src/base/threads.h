// ThreadTeam: a team of threads that run one function together. The team owns its worker threads.
// One engine thread (or loader thread) calls Run.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace merope {

// The number of cores that this process can use: the physical cores of the affinity mask, or the
// cgroup's CPU quota (rounded down) if the quota is smaller. ≥ 1.
int DefaultThreads();
// The two numbers that DefaultThreads uses: the number of physical cores, and the number of CPUs
// that the cgroup (v2, then v1) grants, or 1e9 if the cgroup sets no quota. root: the directory
// that contains the system's files.
int PhysicalCores(const std::string& root = "");
double CgroupCpus(const std::string& root = "");

class ThreadTeam {
 public:
  // n_threads ≥ 1. n_threads includes the calling thread.
  explicit ThreadTeam(int n_threads);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls work(thread) once for every thread in [0, size()) and returns when all calls have
  // returned. The caller is thread 0. If a thread throws (for example std::bad_alloc), Run rethrows
  // that exception, and the other threads may skip their work. A waiting thread spins for about 50
  // µs, then blocks. Every thread runs with the default floating-point environment (round to
  // nearest, denormals kept). Do not call Run from inside work.
  void Run(const std::function<void(int)>& work);

  // A barrier. Every thread of the current Run calls Sync from inside its work. Sync returns when
  // all threads have called Sync. Writes before Sync are visible to all threads after Sync.
  void Sync();

  // Splits [0, n) into size() contiguous ranges and calls work(begin, end) for each range that is
  // not empty.
  void ForRanges(int64_t n, const std::function<void(int64_t, int64_t)>& work);

  // Calls work(thread, i) for each i in [0, n). A thread processes its own range in order. Then the
  // thread takes the remaining indices of the other threads' ranges.
  void ForEach(int64_t n, const std::function<void(int, int64_t)>& work);

 private:
  void WorkerLoop(int thread);
  void Work(const std::function<void(int)>& work, int thread);

  std::atomic<const std::function<void(int)>*> work_{nullptr};
  std::atomic<uint32_t> epoch_{0};    // incremented once per Run; workers wait for a change
  std::atomic<uint32_t> pending_{0};  // workers that have not finished the current Run
  std::atomic<uint32_t> arrived_{0};  // threads that wait in the current Sync
  std::atomic<uint32_t> syncs_{0};    // incremented once per Sync
  std::atomic<bool> stop_{false};
  std::atomic<bool> failed_{false};  // a thread of the current Run has thrown
  std::exception_ptr thrown_;        // the exception of the first thread that has thrown
  std::vector<std::jthread> workers_;
};

}  // namespace merope
