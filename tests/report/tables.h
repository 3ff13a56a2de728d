// The tables of a written report, read back from Markdown and HTML as the text of their cells.
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

// Bytes of the cell that digits, signs and the marks between numbers take.
size_t NumbersTextSize(std::string_view cell);
// The cell with each number at least about a hundred times as large.
std::string TimesHundred(std::string_view cell);

}  // namespace merope
