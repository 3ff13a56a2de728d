#include "base/machine.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>

#include "base/threads.h"

namespace merope {
namespace {

TEST(Machine, FactsAreThere) {
  const Machine machine = ReadMachine();
  EXPECT_FALSE(machine.cpu.empty());
  EXPECT_FALSE(machine.architecture.empty());
  EXPECT_FALSE(machine.kernel.empty());
  EXPECT_FALSE(machine.compiler.empty());
  EXPECT_EQ(machine.merope, MEROPE_VERSION);
  EXPECT_EQ(machine.usable_cores, DefaultThreads());
  EXPECT_GE(machine.logical_cpus, machine.usable_cores);
  EXPECT_GT(machine.memory_total, int64_t{64} << 20);
  EXPECT_GT(machine.memory_available, 0);
  EXPECT_LE(machine.memory_available, machine.memory_total);
}

TEST(Machine, ACgroupLimitCutsTheUsableMemory) {
  Machine machine;
  machine.memory_available = 100;
  EXPECT_EQ(machine.UsableMemory(), 100);
  machine.memory_limit = 40;
  EXPECT_EQ(machine.UsableMemory(), 40);
  machine.memory_limit_used = 15;  // by the processes of the cgroup
  EXPECT_EQ(machine.UsableMemory(), 25);
  machine.memory_limit = 400;
  EXPECT_EQ(machine.UsableMemory(), 100);
}

TEST(ResidentMemory, PeakKeepsWhatWasGivenBack) {
  constexpr int64_t kBytes = 64 << 20;
  const int64_t before = ResidentBytes();
  // From the kernel and back to it: an allocator may keep what it is given back.
  void* memory = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  std::memset(memory, 1, kBytes);
  EXPECT_GE(ResidentBytes(), before + kBytes * 3 / 4);
  munmap(memory, kBytes);
  EXPECT_GE(PeakResidentBytes(), before + kBytes * 3 / 4);
  EXPECT_LT(ResidentBytes(), before + kBytes / 2);
}

}  // namespace
}  // namespace merope
