#include "base/threads.h"

#include <sched.h>

#include <algorithm>
#include <cfenv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <set>
#include <string>
#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace merope {
namespace {

constexpr auto kSpinTime = std::chrono::microseconds(50);

void Pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Waits until value differs from old. The thread spins first, then blocks.
void AwaitChange(const std::atomic<uint32_t>& value, uint32_t old) {
  const auto deadline = std::chrono::steady_clock::now() + kSpinTime;
  while (value.load(std::memory_order_acquire) == old) {
    for (int i = 0; i < 64 && value.load(std::memory_order_acquire) == old; ++i) Pause();
    if (std::chrono::steady_clock::now() >= deadline) {
      value.wait(old, std::memory_order_acquire);
    }
  }
}

// Sync throws LeftSync if another thread has thrown.
struct LeftSync {};

// Sets the default floating-point environment, and restores the old environment at the end. Results
// depend on this environment, and the embedding program may have changed it on its threads.
class DefaultFloatEnvironment {
 public:
  DefaultFloatEnvironment() {
    std::fegetenv(&saved_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~DefaultFloatEnvironment() { std::fesetenv(&saved_); }

 private:
  std::fenv_t saved_;
};

}  // namespace

// Counts the distinct (package, core) pairs of the logical CPUs in the affinity mask.
int PhysicalCores(const std::string& root) {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof(mask), &mask) != 0) return 1;
  std::set<std::pair<int, int>> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &mask)) continue;
    const std::string topology =
        root + "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
    int package = 0, core = 0;
    const bool known = (std::ifstream(topology + "physical_package_id") >> package) &&
                       (std::ifstream(topology + "core_id") >> core);
    cores.emplace(known ? package : -1, known ? core : cpu);
  }
  return std::max(1, static_cast<int>(cores.size()));
}

double CgroupCpus(const std::string& root) {
  std::string quota;
  double period = 0;
  if (std::ifstream v2(root + "/sys/fs/cgroup/cpu.max"); v2 >> quota >> period) {
    if (quota != "max" && period > 0) return std::stod(quota) / period;
  }
  double quota_us = 0;
  std::ifstream v1(root + "/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
  std::ifstream v1_period(root + "/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  if (v1 >> quota_us && v1_period >> period && quota_us > 0 && period > 0) return quota_us / period;
  return 1e9;
}

int DefaultThreads() {
  const double quota = std::max(1.0, std::floor(CgroupCpus()));
  return static_cast<int>(std::min<double>(PhysicalCores(), quota));
}

ThreadTeam::ThreadTeam(int n_threads) {
  try {
    for (int thread = 1; thread < n_threads; ++thread)
      workers_.emplace_back([this, thread] { WorkerLoop(thread); });
  } catch (...) {
    // The system cannot create another thread. The existing workers must stop: they would wait
    // forever.
    stop_.store(true, std::memory_order_relaxed);
    epoch_.fetch_add(1, std::memory_order_release);
    epoch_.notify_all();
    throw;
  }
}

ThreadTeam::~ThreadTeam() {
  stop_.store(true, std::memory_order_relaxed);
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
}

void ThreadTeam::Run(const std::function<void(int)>& work) {
  const DefaultFloatEnvironment environment;
  if (!workers_.empty()) {
    work_.store(&work, std::memory_order_relaxed);
    pending_.store(static_cast<uint32_t>(workers_.size()), std::memory_order_relaxed);
    epoch_.fetch_add(1, std::memory_order_release);
    epoch_.notify_all();
  }
  Work(work, 0);
  for (uint32_t left; (left = pending_.load(std::memory_order_acquire)) != 0;)
    AwaitChange(pending_, left);
  if (!failed_.load(std::memory_order_relaxed)) return;
  failed_ = false;
  arrived_ = 0;
  std::rethrow_exception(std::exchange(thrown_, nullptr));
}

// A thread that has thrown calls Sync no more. The other threads would wait for that thread, so
// Sync throws LeftSync in every thread that calls Sync or waits in Sync.
void ThreadTeam::Work(const std::function<void(int)>& work, int thread) {
  try {
    work(thread);
  } catch (const LeftSync&) {  // NOLINT(bugprone-empty-catch): it only ends the work
  } catch (...) {
    if (!failed_.exchange(true)) thrown_ = std::current_exception();
    syncs_.fetch_add(1, std::memory_order_release);
    syncs_.notify_all();
  }
}

void ThreadTeam::Sync() {
  if (workers_.empty()) return;
  // syncs_ changes only after all threads have arrived, or after a thread has thrown.
  const uint32_t now = syncs_.load(std::memory_order_acquire);
  if (failed_.load(std::memory_order_acquire)) throw LeftSync();
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) == workers_.size()) {
    arrived_.store(0, std::memory_order_relaxed);
    syncs_.fetch_add(1, std::memory_order_release);
    syncs_.notify_all();
  } else {
    AwaitChange(syncs_, now);
    if (failed_.load(std::memory_order_acquire)) throw LeftSync();
  }
}

void ThreadTeam::WorkerLoop(int thread) {
  const DefaultFloatEnvironment environment;
  for (uint32_t seen = 0;;) {
    AwaitChange(epoch_, seen);
    ++seen;
    if (stop_.load(std::memory_order_relaxed)) return;
    Work(*work_.load(std::memory_order_relaxed), thread);
    if (pending_.fetch_sub(1, std::memory_order_acq_rel) == 1) pending_.notify_one();
  }
}

void ThreadTeam::ForRanges(int64_t n, const std::function<void(int64_t, int64_t)>& work) {
  const int64_t parts = size();
  Run([&](int thread) {
    const int64_t begin = n * thread / parts, end = n * (thread + 1) / parts;
    if (begin < end) work(begin, end);
  });
}

void ThreadTeam::ForEach(int64_t n, const std::function<void(int, int64_t)>& work) {
  struct alignas(64) Next {
    std::atomic<int64_t> i;
  };
  std::vector<Next> next(static_cast<size_t>(size()));
  const int parts = size();
  for (int part = 0; part < parts; ++part) next[static_cast<size_t>(part)].i = n * part / parts;
  Run([&](int thread) {
    for (int j = 0; j < parts; ++j) {
      const int part = (thread + j) % parts;
      const int64_t end = n * (part + 1) / parts;
      for (int64_t i;
           (i = next[static_cast<size_t>(part)].i.fetch_add(1, std::memory_order_relaxed)) < end;)
        work(thread, i);
    }
  });
}

}  // namespace merope
