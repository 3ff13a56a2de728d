#include "tests/report/tables.h"

#include <algorithm>
#include <cctype>
#include <utility>

namespace merope {
namespace {

bool IsDigit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }

void Replace(std::string* text, std::string_view from, std::string_view to) {
  for (size_t at = text->find(from); at != text->npos; at = text->find(from, at + to.size()))
    text->replace(at, from.size(), to);
}

// Replaces entities. Removes emphasis, the marks of badges, and spaces around the text.
std::string Plain(std::string text) {
  for (const auto& [from, to] : {std::pair{"&lt;", "<"},
                                 {"&gt;", ">"},
                                 {"&quot;", "\""},
                                 {"&amp;", "&"},
                                 {"**", ""},
                                 {"✅ ", ""},
                                 {"⚠️ ", ""},
                                 {"❌ ", ""},
                                 {"✓ ", ""},
                                 {"✗ ", ""},
                                 {"? ", ""}})
    Replace(&text, from, to);
  const size_t begin = text.find_first_not_of(' ');
  if (begin == text.npos) return "";
  return text.substr(begin, text.find_last_not_of(' ') - begin + 1);
}

std::vector<std::string> MarkdownRow(std::string_view line) {
  std::vector<std::string> cells;
  std::string cell;
  for (size_t i = 1; i < line.size(); ++i) {
    if (line[i] == '\\' && i + 1 < line.size()) {
      cell += line[++i];
    } else if (line[i] == '|') {
      cells.push_back(Plain(std::exchange(cell, {})));
    } else {
      cell += line[i];
    }
  }
  return cells;
}

}  // namespace

std::vector<ReadTable> MarkdownTables(std::string_view text) {
  std::vector<ReadTable> tables;
  bool inside = false;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (!line.starts_with('|')) {
      inside = false;
    } else if (!inside) {
      tables.push_back({MarkdownRow(line), {}});
      inside = true;
    } else if (!line.starts_with("| ---") && !line.starts_with("| :--")) {
      tables.back().rows.push_back(MarkdownRow(line));
    }
  }
  return tables;
}

std::vector<ReadTable> HtmlTables(std::string_view text) {
  std::vector<ReadTable> tables;
  std::vector<std::string> row;
  std::string cell;
  bool inside = false;
  while (!text.empty()) {
    if (text[0] != '<') {
      const size_t end = std::min(text.find('<'), text.size());
      if (inside) cell += text.substr(0, end);
      text.remove_prefix(end);
      continue;
    }
    const std::string_view tag = text.substr(1, text.find('>') - 1);
    text.remove_prefix(std::min(tag.size() + 2, text.size()));
    const std::string_view name = tag.substr(0, tag.find(' '));
    if (name == "table") {
      tables.emplace_back();
    } else if (name == "th" || name == "td") {
      inside = true;
    } else if (name == "/th" || name == "/td") {
      row.push_back(Plain(std::exchange(cell, {})));
      inside = false;
    } else if (name == "/tr") {
      if (tables.back().header.empty())
        tables.back().header = std::exchange(row, {});
      else
        tables.back().rows.push_back(std::exchange(row, {}));
    }
  }
  return tables;
}

size_t NumbersTextSize(std::string_view cell) {
  size_t n = 0;
  for (const char c : cell)
    n += IsDigit(c) || std::string_view("[](),.-% ").find(c) != std::string_view::npos;
  return n;
}

std::string TimesHundred(std::string_view cell) {
  std::string out;
  bool fraction = false;
  for (size_t i = 0; i < cell.size(); ++i) {
    out += cell[i];
    if (cell[i] == '.') fraction = true;
    if (!IsDigit(cell[i])) {
      fraction = fraction && cell[i] == '.';
      continue;
    }
    const bool thousands = i + 2 < cell.size() && cell[i + 1] == ',' && IsDigit(cell[i + 2]);
    const bool ends = i + 1 == cell.size() || (!IsDigit(cell[i + 1]) && !thousands);
    if (ends && !fraction) out += "99";
  }
  return out;
}

}  // namespace merope
