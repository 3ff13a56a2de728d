#include "base/machine.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>
#include <filesystem>

#include "base/mapped_file.h"
#include "base/threads.h"
#include "tests/support/temp_dir.h"

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

// Writes a file below root. The test uses root in place of /.
void WriteBelow(const TempDir& root, const std::string& path, const std::string& text) {
  const std::string file = root.path() + path;
  std::filesystem::create_directories(std::filesystem::path(file).parent_path());
  ASSERT_TRUE(WriteFile(file, text));
}

TEST(Machine, WhatTheKernelSaysIsRead) {
  const TempDir root;
  WriteBelow(root, "/proc/cpuinfo",
             "processor\t: 0\nmodel\t\t: 17\nmodel name\t: Some CPU 9000\n"
             "flags\t\t: fpu avx2 sse2 fma avx512_vnni sse4_2x\n\n"
             "processor\t: 1\nmodel name\t: Another\nflags\t\t: bf16\n");
  WriteBelow(root, "/proc/meminfo",
             "MemTotal:       16000 kB\nMemFree:  1 kB\nMemAvailable:    9000 kB\n");
  const std::string cache = "/sys/devices/system/cpu/cpu0/cache/index";
  struct Cache {
    const char *level, *type, *size;
  };
  for (int i = 0; const auto& [level, type, size] : std::initializer_list<Cache>{
                      {"1", "Data", "48K"},
                      {"1", "Instruction", "32K"},
                      {"2", "Instruction", "7K"},
                      {"2", "Unified", "2048K"},
                      {"9", "Unified", "1K"},
                      {"9", "Unified", "1K"},
                      {"9", "Unified", "1K"},
                      {"3", "Unified", "30720K"},
                      {"3", "Unified", "5K"},
                  }) {
    const std::string index = cache + std::to_string(i++) + "/";
    WriteBelow(root, index + "level", level);
    WriteBelow(root, index + "type", type);
    WriteBelow(root, index + "size", size);
  }
  WriteBelow(root, "/sys/fs/cgroup/memory.max", "5000\n");
  WriteBelow(root, "/sys/fs/cgroup/memory.stat", "file 77\nanon 1200\nanon_thp 5\n");
  WriteBelow(root, "/etc/os-release", "NAME=\"Debian\"\nPRETTY_NAME=\"Debian 12\"\nID=debian\n");
  const Machine machine = ReadMachine(root.path());
  EXPECT_EQ(machine.cpu, "Some CPU 9000");
  EXPECT_EQ(machine.instruction_sets,
            (std::vector<std::string>{"sse2", "fma", "avx2", "avx512_vnni"}));
  EXPECT_EQ(machine.memory_total, 16000 * 1024);
  EXPECT_EQ(machine.memory_available, 9000 * 1024);
  EXPECT_EQ(machine.l2_bytes, 2048 * 1024);
  EXPECT_EQ(machine.l3_bytes, 30720 * 1024);
  EXPECT_EQ(machine.memory_limit, 5000);
  EXPECT_EQ(machine.memory_limit_used, 1200);
  EXPECT_EQ(machine.UsableMemory(), 3800);
  EXPECT_EQ(machine.os, "Debian 12");
}

TEST(Machine, WhatTheKernelDoesNotSayIsAbsent) {
  const TempDir root;
  const Machine machine = ReadMachine(root.path());
  EXPECT_EQ(machine.cpu, machine.architecture);
  EXPECT_TRUE(machine.instruction_sets.empty());
  EXPECT_EQ(machine.l2_bytes, 0);
  EXPECT_EQ(machine.l3_bytes, 0);
  EXPECT_EQ(machine.memory_total, 0);
  EXPECT_EQ(machine.memory_limit, 0);
  EXPECT_EQ(machine.memory_limit_used, 0);
  EXPECT_EQ(machine.os, "");
  // ReadMachine reads the first eight caches.
  const auto caches = [&](std::initializer_list<const char*> levels) {
    for (int i = 0; const char* level : levels) {
      const std::string index = fmt::format("/sys/devices/system/cpu/cpu0/cache/index{}/", i++);
      WriteBelow(root, index + "level", level);
      WriteBelow(root, index + "size", "5K");
    }
    const Machine read = ReadMachine(root.path());
    return std::pair(read.l2_bytes / 1024, read.l3_bytes / 1024);
  };
  EXPECT_EQ(caches({"2", "1", "1", "1", "1", "1", "1", "3"}), std::pair(5l, 5l));
  EXPECT_EQ(caches({"1", "1", "1", "1", "1", "1", "1", "2", "3"}), std::pair(5l, 0l));
  // The files of an Arm processor and of cgroup v1.
  WriteBelow(root, "/proc/cpuinfo", "Features\t: fp asimd sve\n");
  WriteBelow(root, "/sys/fs/cgroup/memory/memory.stat", "rss 1\ntotal_rss 800\n");
  const std::string limit = "/sys/fs/cgroup/memory/memory.limit_in_bytes";
  for (const auto& [text, expected] : std::initializer_list<std::pair<const char*, int64_t>>{
           {"9223372036854771712", 0},  // the kernel's value without a limit
           {"1152921504606846976", 0},
           {"1152921504606846975", (int64_t{1} << 60) - 1},
           {"1", 1},
           {"0", 0},
           {"-1", 0}}) {
    WriteBelow(root, limit, text);
    EXPECT_EQ(ReadMachine(root.path()).memory_limit, expected) << text;
  }
  EXPECT_EQ(ReadMachine(root.path()).memory_limit_used, 800);
  EXPECT_EQ(ReadMachine(root.path()).instruction_sets, (std::vector<std::string>{"asimd", "sve"}));
  WriteBelow(root, "/sys/fs/cgroup/memory.max", "max\n");
  WriteBelow(root, limit, "4000");
  EXPECT_EQ(ReadMachine(root.path()).memory_limit, 4000);
}

TEST(Machine, ACgroupLimitCutsTheUsableMemory) {
  Machine machine;
  machine.memory_available = 100;
  EXPECT_EQ(machine.UsableMemory(), 100);
  machine.memory_limit = 40;
  EXPECT_EQ(machine.UsableMemory(), 40);
  machine.memory_limit_used = 15;  // held by the cgroup's processes
  EXPECT_EQ(machine.UsableMemory(), 25);
  machine.memory_limit_used = 50;  // more than the limit
  EXPECT_EQ(machine.UsableMemory(), 0);
  machine.memory_limit = 400;
  EXPECT_EQ(machine.UsableMemory(), 100);
}

TEST(ResidentMemory, PeakKeepsWhatWasGivenBack) {
  constexpr int64_t kBytes = 64 << 20;
  const int64_t before = ResidentBytes();
  // The test calls mmap and munmap, because an allocator may keep freed memory.
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
