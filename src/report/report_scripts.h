// The scripts that a repository holds (WriteRepository). The build copies them from scripts/ into
// the program. Any thread may call it.
#pragma once

#include <span>
#include <string_view>

namespace merope {

struct ReportScript {
  std::string_view name, text;
};
std::span<const ReportScript> ReportScripts();

}  // namespace merope
