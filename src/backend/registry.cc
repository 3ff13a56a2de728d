#include "backend/registry.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

namespace merope {
namespace {

using Entry = std::pair<std::string, BackendMaker>;

std::vector<Entry>& Entries() {
  static std::vector<Entry> entries = {
      {std::string(kCpuBackend),
       [](const BackendOptions& options) -> Result<std::unique_ptr<Backend>> {
         if (options.op_rounding != OpRounding::kNone)
           return FieldErr("backend", "expected {}, which rounds after every op, found {}",
                           kReferenceBackend, kCpuBackend);
         return MakeCpuBackend(options);
       }},
      {std::string(kReferenceBackend),
       [](const BackendOptions& options) { return MakeReferenceBackend(options); }}};
  return entries;
}

}  // namespace

void RegisterBackend(std::string_view name, BackendMaker maker) {
  CHECK(std::ranges::find(Entries(), name, &Entry::first) == Entries().end(), "{}", name);
  Entries().emplace_back(name, std::move(maker));
}

std::vector<std::string> BackendNames() {
  std::vector<std::string> names;
  for (const Entry& entry : Entries()) names.push_back(entry.first);
  return names;
}

Result<std::unique_ptr<Backend>> MakeBackend(std::string_view name, const BackendOptions& options) {
  const auto found = std::ranges::find(Entries(), name, &Entry::first);
  if (found == Entries().end())
    return FieldErr("backend", "expected {}, found \"{}\"", fmt::join(BackendNames(), ", "), name);
  return found->second(options);
}

}  // namespace merope
