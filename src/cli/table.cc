#include "cli/table.h"

#include <fmt/format.h>

#include <algorithm>

namespace merope {

void PrintTable(const std::vector<std::vector<std::string>>& rows, size_t left) {
  std::vector<size_t> widths(rows.front().size());
  for (const auto& row : rows)
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i)
      line += i < left ? fmt::format("{:<{}}  ", row[i], widths[i])
                       : fmt::format("{:>{}}  ", row[i], widths[i]);
    fmt::print("  {}\n", line.substr(0, line.find_last_not_of(' ') + 1));
  }
}

}  // namespace merope
