// Reads the tables of a written report from Markdown or HTML, as the text of their cells.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace merope {

struct ReadTable {
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;
};
std::vector<ReadTable> MarkdownTables(std::string_view text);
std::vector<ReadTable> HtmlTables(std::string_view text);

// The number of bytes of the cell that are digits, signs or marks between numbers.
size_t NumbersTextSize(std::string_view cell);
// The cell with each number about a hundred times as large, or larger.
std::string TimesHundred(std::string_view cell);

}  // namespace merope
