#include "base/threads.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cfenv>
#include <chrono>
#include <cmath>
#include <ctime>
#include <filesystem>
#include <mutex>
#include <set>
#include <system_error>
#include <thread>

#include "base/mapped_file.h"
#include "tests/support/temp_dir.h"

namespace merope {
namespace {

TEST(DefaultThreads, AtLeastOneAndAtMostTheMachine) {
  EXPECT_GE(DefaultThreads(), 1);
  EXPECT_LE(DefaultThreads(), static_cast<int>(std::thread::hardware_concurrency()));
}

// A directory that a test uses in place of /. The test writes the files.
class FakeSystem {
 public:
  void Write(const std::string& path, const std::string& text) const {
    const std::string file = directory_.path() + path;
    std::filesystem::create_directories(std::filesystem::path(file).parent_path());
    ASSERT_TRUE(WriteFile(file, text));
  }
  const std::string& root() const { return directory_.path(); }

 private:
  TempDir directory_;
};

TEST(CgroupCpus, TheSecondVersionThenTheFirst) {
  struct Case {
    const char *v2, *quota, *period;  // nullptr: no such file
    double expected;
  };
  for (const auto& [v2, quota, period, expected] : std::initializer_list<Case>{
           {nullptr, nullptr, nullptr, 1e9},
           {"max 100000", nullptr, nullptr, 1e9},
           {"150000 100000", nullptr, nullptr, 1.5},
           {"50000 100000", "300000", "100000", 0.5},
           {"1 1", nullptr, nullptr, 1},
           {"150000 0", nullptr, nullptr, 1e9},
           {"max 100000", "300000", "100000", 3},
           {nullptr, "250000", "100000", 2.5},
           {nullptr, "1", "1", 1},
           {nullptr, "0", "100000", 1e9},
           {nullptr, "-1", "100000", 1e9},  // the kernel's value without a quota
           {nullptr, "100000", "0", 1e9},
           {nullptr, "100000", nullptr, 1e9},
           {nullptr, nullptr, "100000", 1e9},
       }) {
    const FakeSystem system;
    if (v2 != nullptr) system.Write("/sys/fs/cgroup/cpu.max", v2);
    if (quota != nullptr) system.Write("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", quota);
    if (period != nullptr) system.Write("/sys/fs/cgroup/cpu/cpu.cfs_period_us", period);
    EXPECT_EQ(CgroupCpus(system.root()), expected)
        << (v2 ? v2 : "none") << ", " << (quota ? quota : "none");
  }
}

TEST(PhysicalCores, AreDistinctPairsOfPackageAndCore) {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  ASSERT_EQ(sched_getaffinity(0, sizeof(mask), &mask), 0);
  const int logical = CPU_COUNT(&mask);
  const auto cores = [&](auto package, auto core) {
    const FakeSystem system;
    for (int cpu = 0, number = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (!CPU_ISSET(cpu, &mask)) continue;
      const std::string topology =
          "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
      system.Write(topology + "physical_package_id", std::to_string(package(number)));
      system.Write(topology + "core_id", std::to_string(core(number++)));
    }
    return PhysicalCores(system.root());
  };
  const auto same = [](int) { return 0; };
  const auto own = [](int number) { return number; };
  const auto pairs = [](int number) { return number / 2; };
  EXPECT_EQ(cores(same, same), 1);
  EXPECT_EQ(cores(same, own), logical);
  EXPECT_EQ(cores(own, same), logical);
  EXPECT_EQ(cores(same, pairs), (logical + 1) / 2);
  EXPECT_EQ(PhysicalCores(FakeSystem().root()), logical);  // no facts about the cores
}

TEST(DefaultThreads, ArePhysicalCoresCutByTheQuota) {
  EXPECT_EQ(DefaultThreads(),
            std::max(1, std::min(PhysicalCores(),
                                 static_cast<int>(std::min(1e6, std::floor(CgroupCpus()))))));
}

TEST(ThreadTeam, EveryThreadRunsTheWorkOnce) {
  for (const int n : {1, 2, 3, 7}) {
    ThreadTeam team(n);
    EXPECT_EQ(team.size(), n);
    for (int round = 0; round < 50; ++round) {
      std::vector<int> calls(static_cast<size_t>(n));
      std::vector<std::thread::id> ids(static_cast<size_t>(n));
      team.Run([&](int thread) {
        ++calls[static_cast<size_t>(thread)];
        ids[static_cast<size_t>(thread)] = std::this_thread::get_id();
      });
      EXPECT_EQ(calls, std::vector<int>(static_cast<size_t>(n), 1));
      EXPECT_EQ(ids[0], std::this_thread::get_id());
      EXPECT_EQ(std::set(ids.begin(), ids.end()).size(), static_cast<size_t>(n));
    }
  }
}

// Every thread of a Run sees what all threads of the previous Run wrote, also after thousands of
// joins in a row.
TEST(ThreadTeam, JoinsOrderTheWork) {
  constexpr int kThreads = 3;
  ThreadTeam team(kThreads);
  std::vector<int64_t> values(kThreads), sums(kThreads);
  for (int64_t round = 1; round <= 2000; ++round) {
    team.Run([&](int thread) { values[static_cast<size_t>(thread)] = round * (thread + 1); });
    team.Run(
        [&](int thread) { sums[static_cast<size_t>(thread)] = values[0] + values[1] + values[2]; });
    ASSERT_EQ(sums, std::vector<int64_t>(kThreads, round * 6));
  }
}

// Any thread may run out of memory. The caller gets the exception, even if other threads wait in
// Sync. The team can run work again afterwards.
TEST(ThreadTeam, WhatAThreadThrowsTheCallerGets) {
  for (const int threads : {1, 2, 3}) {
    ThreadTeam team(threads);
    for (int round = 0; round < 300; ++round) {
      const int thrower = round % threads;
      EXPECT_THROW(team.Run([&](int thread) {
        for (int i = 0; i < 3; ++i) {
          if (thread == thrower && i == round % 4) throw std::bad_alloc();
          team.Sync();
        }
        if (thread == thrower) throw std::bad_alloc();
      }),
                   std::bad_alloc);
      std::vector<int> values(static_cast<size_t>(threads)), sums(values.size());
      team.Run([&](int thread) {
        values[static_cast<size_t>(thread)] = round;
        team.Sync();
        for (const int value : values) sums[static_cast<size_t>(thread)] += value;
      });
      ASSERT_EQ(sums, std::vector<int>(values.size(), round * threads));
    }
  }
}

// Within one Run, every thread sees after a Sync what all threads wrote before the Sync.
TEST(ThreadTeam, SyncOrdersTheWorkInsideARun) {
  for (const int threads : {1, 2, 3}) {
    ThreadTeam team(threads);
    std::vector<int64_t> values(static_cast<size_t>(threads)), wrong(values.size());
    team.Run([&](int thread) {
      const auto own = static_cast<size_t>(thread);
      for (int64_t round = 1; round <= 2000; ++round) {
        values[own] = round;
        team.Sync();
        for (const int64_t value : values) wrong[own] += value != round;
        team.Sync();
      }
    });
    EXPECT_EQ(wrong, std::vector<int64_t>(values.size())) << threads;
  }
}

// Waiting threads spin only for a short time.
TEST(ThreadTeam, AnIdleTeamUsesNoProcessor) {
  ThreadTeam team(3);
  team.Run([](int) {});
  const auto used = [] {
    timespec time{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
  };
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const double before = used();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_LT(used() - before, 0.01);
}

// The caller and the workers wait longer than the spinning time, so both block. The team must wake
// both.
TEST(ThreadTeam, BlockedThreadsAreWoken) {
  ThreadTeam team(2);
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    int slow = 0;
    team.Run([&](int thread) {
      if (thread == round % 2) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      slow = 1;
    });
    EXPECT_EQ(slow, 1);
  }
}

TEST(ThreadTeam, RangesCoverEverythingOnce) {
  for (const int n_threads : {1, 2, 5}) {
    ThreadTeam team(n_threads);
    for (const int64_t n : {0, 1, 2, 4, 5, 6, 1000}) {
      std::vector<int> seen(static_cast<size_t>(n));
      std::mutex mutex;
      int64_t calls = 0;
      team.ForRanges(n, [&](int64_t begin, int64_t end) {
        const std::lock_guard lock(mutex);
        EXPECT_LT(begin, end);
        for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
        ++calls;
      });
      EXPECT_EQ(seen, std::vector<int>(static_cast<size_t>(n), 1));
      EXPECT_LE(calls, n_threads);
    }
  }
}

TEST(ThreadTeam, EachCoversEverythingOnce) {
  for (const int n_threads : {1, 2, 5}) {
    ThreadTeam team(n_threads);
    for (const int64_t n : {0, 1, 2, 4, 5, 6, 1000}) {
      std::vector<std::atomic<int>> seen(static_cast<size_t>(n));
      team.ForEach(n, [&](int thread, int64_t i) {
        EXPECT_TRUE(thread >= 0 && thread < n_threads);
        ++seen[static_cast<size_t>(i)];
      });
      for (const auto& times : seen) EXPECT_EQ(times, 1);
    }
  }
}

// Thread 0 waits in its first piece until all other pieces are done. So the other thread must do
// all other pieces.
TEST(ThreadTeam, EachGoesOnWithWhatIsLeftOfOthers) {
  constexpr int64_t kPieces = 100;
  ThreadTeam team(2);
  std::atomic<int64_t> done = 0;
  bool stuck = false;
  team.ForEach(kPieces, [&](int thread, int64_t) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (thread == 0 && done < kPieces - 1 && !stuck) {
      stuck = std::chrono::steady_clock::now() > deadline;
      std::this_thread::yield();
    }
    ++done;
  });
  EXPECT_FALSE(stuck);
}

// Results must not depend on the rounding mode that an embedding program has set.
TEST(ThreadTeam, RunsInTheDefaultFloatEnvironment) {
  const int before = std::fegetround();
  ASSERT_EQ(std::fesetround(FE_UPWARD), 0);
  {
    ThreadTeam team(3);
    std::vector<int> modes(3, -1);
    team.Run([&](int thread) { modes[static_cast<size_t>(thread)] = std::fegetround(); });
    EXPECT_EQ(modes, std::vector<int>(3, FE_TONEAREST));
    EXPECT_EQ(std::fegetround(), FE_UPWARD);  // the caller's mode is restored
  }
  std::fesetround(before);
}

TEST(ThreadTeam, EndsWithoutEverHavingRun) { const ThreadTeam team(4); }

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// The system has no memory for this number of stacks. The constructor must throw an exception that
// the caller can catch, and must not leave a worker behind.
TEST(ThreadTeam, ThreadsThatCannotBeMadeAreAnError) {
  const auto make = [] {
    const rlimit little = {.rlim_cur = 1 << 30, .rlim_max = 1 << 30};
    if (setrlimit(RLIMIT_AS, &little) != 0) _exit(1);
    try {
      ThreadTeam team(4000);
    } catch (const std::system_error&) {
      _exit(3);
    }
    _exit(0);
  };
  EXPECT_EXIT(make(), testing::ExitedWithCode(3), "");
}
#endif

}  // namespace
}  // namespace merope
