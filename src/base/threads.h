// A team of threads that run one function together. Owns its workers; one engine (or loader) thread
// calls Run.
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

// Cores this process may really use: its affinity mask counted in physical cores, cut by the
// cgroup's CPU quota. ≥ 1.
int DefaultThreads();
// The two numbers that it is made of, of the system whose files are below root: physical cores, and
// the CPUs that the cgroup (v2, then v1) grants, 1e9 where it says nothing.
int PhysicalCores(const std::string& root = "");
double CgroupCpus(const std::string& root = "");

class ThreadTeam {
 public:
  // n_threads ≥ 1, the calling thread included.
  explicit ThreadTeam(int n_threads);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls work(thread) for every thread of [0, size()), the caller being thread 0, and returns when
  // all are done. What one of them throws (memory that is not there), it throws; what the others
  // had to do may be left out then. Joins spin for some 50 µs, then block. Every thread runs with
  // the default floating-point environment (round to nearest, denormals kept). Not to be called
  // from inside work.
  void Run(const std::function<void(int)>& work);

  // Called by every thread of the current Run from inside its work: returns when all have called.
  // What they wrote before is visible to all after.
  void Sync();

  // Splits [0, n) into size() contiguous ranges and calls work(begin, end) for each that is not
  // empty.
  void ForRanges(int64_t n, const std::function<void(int64_t, int64_t)>& work);

  // Calls work(thread, i) for each i of [0, n). A thread takes its own range of them in order, and
  // when that is done goes on with what is left of another's.
  void ForEach(int64_t n, const std::function<void(int, int64_t)>& work);

 private:
  void WorkerLoop(int thread);
  void Work(const std::function<void(int)>& work, int thread);

  std::atomic<const std::function<void(int)>*> work_{nullptr};
  std::atomic<uint32_t> epoch_{0};    // raised once a Run; workers wait for it to change
  std::atomic<uint32_t> pending_{0};  // workers that have not finished the current Run
  std::atomic<uint32_t> arrived_{0};  // threads that wait in the current Sync
  std::atomic<uint32_t> syncs_{0};    // raised once a Sync
  std::atomic<bool> stop_{false};
  std::atomic<bool> failed_{false};  // a thread of the current Run has thrown
  std::exception_ptr thrown_;        // by the first that did
  std::vector<std::jthread> workers_;
};

}  // namespace merope
