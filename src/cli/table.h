// Prints a table for people. Each column is as wide as its widest cell. Called by the bench
// commands, on the main thread.
#pragma once

#include <string>
#include <vector>

namespace merope {

// Prints to standard output, with an indent of two spaces. The cells of the first `left` columns
// are left-aligned; all others are right-aligned.
void PrintTable(const std::vector<std::vector<std::string>>& rows, size_t left = 0);

}  // namespace merope
