// merope doctor: prints the facts about the machine and the build that a bug report needs. The
// option --version prints the short form.
#include <fmt/ranges.h>
#include <hwy/base.h>
#include <openssl/crypto.h>
#include <sys/resource.h>

#include <CLI/Version.hpp>
#include <memory>
#include <string>
#include <vector>

#include "backend/cpu_targets.h"
#include "base/json.h"
#include "base/machine.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/version.h"

namespace merope {
namespace {
OrderedJson Limit(int resource) {
  rlimit limit = {};
  if (getrlimit(static_cast<__rlimit_resource_t>(resource), &limit) != 0) return nullptr;
  return limit.rlim_cur == RLIM_INFINITY ? OrderedJson("unlimited") : OrderedJson(limit.rlim_cur);
}

OrderedJson Findings() {
  const Machine m = ReadMachine();
  return {
      {"merope",
       {{"version", m.merope},
        {"commit", Commit()},
        {"compiler", m.compiler},
        {"kernels", cpu::TargetInUse()}}},
      {"machine",
       {{"cpu", m.cpu},
        {"architecture", m.architecture},
        {"logical_cpus", m.logical_cpus},
        {"usable_cores", m.usable_cores},
        {"instruction_sets", m.instruction_sets},
        {"l2_bytes", m.l2_bytes},
        {"l3_bytes", m.l3_bytes}}},
      {"memory",
       {{"total_bytes", m.memory_total},
        {"available_bytes", m.memory_available},
        {"cgroup_limit_bytes",
         m.memory_limit > 0 ? OrderedJson(m.memory_limit) : OrderedJson("none")},
        {"usable_bytes", m.UsableMemory()}}},
      {"system", {{"os", m.os}, {"kernel", m.kernel}, {"libc", m.libc}}},
      {"limits",
       {{"address_space_bytes", Limit(RLIMIT_AS)},
        {"processes", Limit(RLIMIT_NPROC)},
        {"open_files", Limit(RLIMIT_NOFILE)},
        {"stack_bytes", Limit(RLIMIT_STACK)}}},
      {"libraries",
       {{"highway", fmt::format("{}.{}.{}", HWY_MAJOR, HWY_MINOR, HWY_PATCH)},
        {"nlohmann_json", fmt::format("{}.{}.{}", NLOHMANN_JSON_VERSION_MAJOR,
                                      NLOHMANN_JSON_VERSION_MINOR, NLOHMANN_JSON_VERSION_PATCH)},
        {"fmt",
         fmt::format("{}.{}.{}", FMT_VERSION / 10000, FMT_VERSION / 100 % 100, FMT_VERSION % 100)},
        {"cli11", CLI11_VERSION},
        {"openssl", OpenSSL_version(OPENSSL_VERSION)}}}};
}

// A heading for each part, then one line per value.
std::string ToText(const OrderedJson& findings) {
  std::string text;
  for (const auto& [part, values] : findings.items()) {
    text += part + "\n";
    for (const auto& [name, value] : values.items()) {
      std::string shown;
      if (value.is_array())
        shown = fmt::format("{}", fmt::join(value.get<std::vector<std::string>>(), " "));
      else
        shown = value.is_string() ? value.get<std::string>() : value.dump();
      text += fmt::format("  {:<20} {}\n", name, shown);
    }
  }
  return text;
}

}  // namespace

std::string VersionLine() {
  return fmt::format("merope {} (commit {}, {}, {})", MEROPE_VERSION, Commit(),
                     ReadMachine().compiler, cpu::TargetInUse());
}

void AddDoctor(CLI::App& app, Action* chosen) {
  CLI::App* doctor = app.add_subcommand(
      "doctor",
      "Print the facts that a bug report needs: version, machine, memory, limits, libraries");
  const auto json = std::make_shared<bool>(false);
  doctor->add_flag("--json", *json, "Print one JSON object");
  doctor->footer("Example: merope doctor");
  doctor->callback([json, chosen] {
    *chosen = [json]() -> Result<int> {
      const OrderedJson findings = Findings();
      TRY(WriteOutput(*json ? JsonLine(findings) : ToText(findings)));
      return 0;
    };
  });
}

}  // namespace merope
