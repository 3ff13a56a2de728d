// Rows of text for people: each column as wide as its widest cell.
#pragma once

#include <string>
#include <vector>

namespace merope {

// To standard output, indented by two. Cells are right-aligned but for the first `left` columns'.
void PrintTable(const std::vector<std::vector<std::string>>& rows, size_t left = 0);

}  // namespace merope
