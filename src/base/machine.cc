#include "base/machine.h"

#include <gnu/libc-version.h>
#include <sched.h>
#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <set>
#include <sstream>
#include <string_view>

#include "base/threads.h"

namespace merope {
namespace {

constexpr int64_t kKiB = 1024;

// The value of the first "key : value" line of a /proc file, or "".
std::string Field(const std::string& path, std::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key)) continue;
    const size_t colon = line.find_first_not_of(" \t", key.size());
    if (colon == line.npos || line[colon] != ':') continue;
    const size_t value = line.find_first_not_of(" \t", colon + 1);
    return value == line.npos ? "" : line.substr(value);
  }
  return "";
}

// Returns a field that the file gives in kB, in bytes. 0 if the field is absent.
int64_t FieldBytes(const std::string& path, std::string_view key) {
  int64_t kib = 0;
  std::istringstream(Field(path, key)) >> kib;
  return kib * kKiB;
}

// The names are those of /proc/cpuinfo on x86 ("flags") and Arm ("Features").
constexpr std::array<std::string_view, 23> kInstructionSets = {
    "sse2",     "ssse3",       "sse4_1",      "sse4_2",   "avx",      "f16c",
    "fma",      "avx2",        "avx512f",     "avx512bw", "avx512vl", "avx512_vnni",
    "avx_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16", "amx_int8",
    "asimd",    "asimdhp",     "asimddp",     "sve",      "bf16"};

std::vector<std::string> InstructionSets(const std::string& cpuinfo) {
  std::string flags = Field(cpuinfo, "flags");
  if (flags.empty()) flags = Field(cpuinfo, "Features");
  std::set<std::string> have;
  std::istringstream words(flags);
  for (std::string word; words >> word;) have.insert(word);
  std::vector<std::string> found;
  for (const std::string_view name : kInstructionSets)
    if (have.contains(std::string(name))) found.emplace_back(name);
  return found;
}

int64_t CacheBytes(const std::string& root, int level) {
  for (int index = 0; index < 8; ++index) {
    const std::string dir =
        root + "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index) + "/";
    int found = 0;
    std::string type;
    int64_t kib = 0;
    if (!(std::ifstream(dir + "level") >> found)) break;
    std::ifstream(dir + "type") >> type;
    std::ifstream(dir + "size") >> kib;  // "1024K"
    if (found == level && type != "Instruction") return kib * kKiB;
  }
  return 0;
}

int64_t CgroupMemoryLimit(const std::string& root) {
  for (const char* path :
       {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    int64_t limit = 0;
    // Without a limit, cgroup v2 writes "max", which is not a number, and v1 writes a number near
    // 2^63.
    if (std::ifstream(root + path) >> limit && limit > 0 && limit < int64_t{1} << 60) return limit;
  }
  return 0;
}

// The bytes that the cgroup's processes hold, without the page cache.
int64_t CgroupMemoryUsed(const std::string& root) {
  for (const auto& [path, key] : {std::pair("/sys/fs/cgroup/memory.stat", "anon"),
                                  std::pair("/sys/fs/cgroup/memory/memory.stat", "total_rss")}) {
    std::ifstream file(root + path);
    std::string name;
    for (int64_t bytes = 0; file >> name >> bytes;)
      if (name == key) return bytes;
  }
  return 0;
}

std::string OsName(const std::string& root) {
  std::ifstream file(root + "/etc/os-release");
  for (std::string line; std::getline(file, line);) {
    constexpr std::string_view kKey = "PRETTY_NAME=";
    if (!line.starts_with(kKey)) continue;
    std::string name = line.substr(kKey.size());
    std::erase(name, '"');
    return name;
  }
  return "";
}

std::string CompilerName() {
#if defined(__clang__)
  return "clang " __clang_version__;
#else
  return "g++ " __VERSION__;
#endif
}

}  // namespace

int64_t Machine::UsableMemory() const {
  if (memory_limit == 0) return memory_available;
  return std::min(std::max<int64_t>(memory_limit - memory_limit_used, 0), memory_available);
}

Machine ReadMachine(const std::string& root) {
  Machine machine;
  utsname names = {};
  uname(&names);
  machine.architecture = names.machine;
  machine.kernel = std::string(names.sysname) + " " + names.release;
  machine.cpu = Field(root + "/proc/cpuinfo", "model name");
  if (machine.cpu.empty()) machine.cpu = machine.architecture;
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof(mask), &mask) == 0) machine.logical_cpus = CPU_COUNT(&mask);
  machine.usable_cores = DefaultThreads();
  machine.instruction_sets = InstructionSets(root + "/proc/cpuinfo");
  machine.l2_bytes = CacheBytes(root, 2);
  machine.l3_bytes = CacheBytes(root, 3);
  machine.memory_total = FieldBytes(root + "/proc/meminfo", "MemTotal");
  machine.memory_available = FieldBytes(root + "/proc/meminfo", "MemAvailable");
  machine.memory_limit = CgroupMemoryLimit(root);
  machine.memory_limit_used = CgroupMemoryUsed(root);
  machine.os = OsName(root);
  machine.libc = std::string("glibc ") + gnu_get_libc_version();
  machine.compiler = CompilerName();
  machine.merope = MEROPE_VERSION;
  return machine;
}

int64_t ResidentBytes() { return FieldBytes("/proc/self/status", "VmRSS"); }
int64_t PeakResidentBytes() { return FieldBytes("/proc/self/status", "VmHWM"); }

}  // namespace merope
