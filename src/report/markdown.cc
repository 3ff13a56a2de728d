// The Markdown writer, for GitHub's dialect.
#include <fmt/format.h>

#include <algorithm>

#include "report/document.h"

namespace merope {
namespace {

// Plain text. Escapes every character that Markdown or HTML can read as markup. Writes a line break
// as the sign ↵.
std::string EscapeText(std::string_view text) {
  constexpr std::string_view kMarkup = "\\`*_[]|#~$";
  std::string out;
  for (const char c : text) {
    if (c == '\n')
      out += "↵ ";
    else if (c == '\r' || c == '\t')
      out += ' ';
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '&')
      out += "&amp;";
    else if (kMarkup.find(c) != kMarkup.npos)
      (out += '\\') += c;
    else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      out += "\xef\xbf\xbd";
    else
      out += c;
  }
  return out;
}

// A code span. Its fence has one backtick more than the longest row of backticks in the text. A
// pipe gets a backslash, because a pipe ends a table cell even inside code.
std::string CodeSpan(std::string_view text) {
  if (text.empty()) return "";
  size_t longest = 0, run = 0;
  std::string body;
  for (const char c : text) {
    run = c == '`' ? run + 1 : 0;
    longest = std::max(longest, run);
    if (c == '|') body += '\\';
    body += c;
  }
  const std::string fence(longest + 1, '`');
  const bool pad =
      body.front() == '`' || body.back() == '`' || (body.front() == ' ' && body.back() == ' ');
  return pad ? fmt::format("{} {} {}", fence, body, fence) : fence + body + fence;
}

std::string MarkdownText(const Inline& runs) {
  std::string out;
  for (const Run& run : runs) {
    switch (run.style) {
      case Style::kPlain:
        out += EscapeText(run.text);
        break;
      case Style::kStrong:
        out += "**" + EscapeText(run.text) + "**";
        break;
      case Style::kCode:
        out += CodeSpan(run.text);
        break;
      case Style::kPass:
        out += "✅ " + EscapeText(run.text);
        break;
      case Style::kWarn:
        out += "⚠️ " + EscapeText(run.text);
        break;
      case Style::kFail:
        out += "❌ " + EscapeText(run.text);
        break;
    }
  }
  return out;
}

struct MarkdownWriter {
  const std::function<std::string(const Plot&)>& figure;
  std::string out;

  void operator()(const Heading& heading) {
    out += fmt::format("{} {}{} {}\n\n", heading.level == 1 ? "##" : "###", heading.number,
                       heading.level == 1 ? "." : "", EscapeText(heading.text));
  }
  void operator()(const Paragraph& paragraph) { out += MarkdownText(paragraph.text) + "\n\n"; }
  void operator()(const List& list) {
    int number = 0;
    for (const Inline& item : list.items)
      out += (list.ordered ? fmt::format("{}. ", ++number) : "- ") + MarkdownText(item) + "\n";
    out += '\n';
  }
  void operator()(const Note& note) {
    Inline runs = note.text;
    if (note.tone != Style::kPlain) runs.insert(runs.begin(), Run("", note.tone));
    out += "> " + MarkdownText(runs) + "\n\n";
  }
  void operator()(const Table& table) {
    if (!table.caption.empty()) out += "**" + EscapeText(table.caption) + "**\n\n";
    std::string rule = "|";
    out += "|";
    for (const Column& column : table.columns) {
      out += ' ' + EscapeText(column.header) + " |";
      rule += column.align == Align::kRight    ? " ---: |"
              : column.align == Align::kCenter ? " :---: |"
                                               : " --- |";
    }
    out += '\n' + rule + '\n';
    for (const auto& row : table.rows) {
      out += '|';
      for (const Inline& cell : row) out += ' ' + MarkdownText(cell) + " |";
      out += '\n';
    }
    out += '\n';
  }
  void operator()(const CodeBlock& block) {
    std::string fence = "```";
    while (block.text.find(fence) != std::string::npos) fence += '`';
    out += fence + block.language + '\n' + block.text + (block.text.ends_with('\n') ? "" : "\n") +
           fence + "\n\n";
  }
  void operator()(const Figure& block) {
    out += fmt::format("![{}]({})\n\n*{}*\n\n", EscapeText(block.plot.title), figure(block.plot),
                       EscapeText(block.plot.description));
  }
  void operator()(const Cards& cards) {
    for (const Card& card : cards.cards)
      out += fmt::format("- **{}**: {}{}\n", EscapeText(card.label), MarkdownText({card.value}),
                         card.note.empty() ? "" : " — " + EscapeText(card.note));
    out += '\n';
  }
};

}  // namespace

std::string ToMarkdown(const Document& document,
                       const std::function<std::string(const Plot&)>& figure) {
  MarkdownWriter writer{figure, {}};
  writer.out =
      fmt::format("# {}\n\n{}\n\n", EscapeText(document.title), EscapeText(document.subtitle));
  for (const Block& block : document.blocks) std::visit(writer, block);
  return writer.out + "---\n\n" + EscapeText(document.footer) + "\n";
}

}  // namespace merope
