// Facts about the machine and the build, for reports. Read from the kernel when asked for; nothing
// is cached.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace merope {

struct Machine {
  std::string cpu;           // "AMD EPYC"; the architecture where the kernel gives no name
  std::string architecture;  // "x86_64"
  int logical_cpus = 0;      // in this process's affinity mask
  int usable_cores = 0;      // DefaultThreads()
  // The SIMD extensions that the kernel lists, in the order in which processors got them.
  std::vector<std::string> instruction_sets;
  int64_t l2_bytes = 0, l3_bytes = 0;  // of cpu0; 0 where unknown
  int64_t memory_total = 0, memory_available = 0;
  int64_t memory_limit = 0;       // the cgroup's; 0: none
  int64_t memory_limit_used = 0;  // of it, besides the page cache
  std::string os;                 // "Debian GNU/Linux 12 (bookworm)"
  std::string kernel;             // "Linux 6.1.0"
  std::string libc, compiler;
  std::string merope;  // our version

  // What a process may use now: the available memory, cut by what the cgroup's limit
  // leaves.
  int64_t UsableMemory() const;
};
// root: the directory that the system's files are below.
Machine ReadMachine(const std::string& root = "");

// Resident bytes of this process: now, and the most there have been. 0 where the kernel does not
// tell.
int64_t ResidentBytes();
int64_t PeakResidentBytes();

}  // namespace merope
