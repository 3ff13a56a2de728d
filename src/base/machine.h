// Facts about the machine and the build, for reports and memory checks. Each call reads them from
// the system again; nothing is cached.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace merope {

struct Machine {
  std::string cpu;           // "AMD EPYC"; the architecture if the kernel gives no name
  std::string architecture;  // "x86_64"
  int logical_cpus = 0;      // in this process's affinity mask
  int usable_cores = 0;      // DefaultThreads()
  // The SIMD extensions that the kernel lists, from the oldest extension to the newest.
  std::vector<std::string> instruction_sets;
  int64_t l2_bytes = 0, l3_bytes = 0;  // of cpu0; 0 if unknown
  int64_t memory_total = 0, memory_available = 0;
  int64_t memory_limit = 0;       // the cgroup's limit; 0 if there is no limit
  int64_t memory_limit_used = 0;  // memory that counts against the limit, without the page cache
  std::string os;                 // "Debian GNU/Linux 12 (bookworm)"
  std::string kernel;             // "Linux 6.1.0"
  std::string libc, compiler;
  std::string merope;  // merope's version

  // The bytes that a process may use now: the available memory, or the unused part of the cgroup's
  // limit if that part is smaller.
  int64_t UsableMemory() const;
};
// root: the directory that contains the system's files (/proc, /sys, /etc).
Machine ReadMachine(const std::string& root = "");

// The resident bytes of this process: the current number, and the highest number so far. 0 if the
// kernel does not report the number.
int64_t ResidentBytes();
int64_t PeakResidentBytes();

}  // namespace merope
