// A report as a document: the content, independent of the file format. BuildReport makes one
// document per language. WriteReport turns the document into Markdown and HTML, on the caller's
// thread. Plain values.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "report/svg.h"

namespace merope {

enum class Style : uint8_t { kPlain, kStrong, kCode, kPass, kWarn, kFail };

// A piece of text in one style. The text is literal; ToMarkdown and ToHtml escape it.
struct Run {
  std::string text;
  Style style = Style::kPlain;

  Run(std::string run_text, Style run_style = Style::kPlain)
      : text(std::move(run_text)), style(run_style) {}
  Run(std::string_view run_text) : text(run_text) {}
  Run(const char* run_text) : text(run_text) {}
  bool operator==(const Run&) const = default;
};
using Inline = std::vector<Run>;

// Turns a pattern into runs. The pattern is the text of a section, with **strong**, `code` and the
// placeholders {0}, {1}, … Arguments are literal text. A plain argument takes the style of its
// placeholder; any other argument keeps its own style. A placeholder without an argument fails a
// CHECK.
Inline Rich(std::string_view pattern, const Inline& arguments = {});
// Visible returns text of the model with escapes for control characters and for bytes that are not
// UTF-8. Code returns the same text as a run in the style kCode.
std::string Visible(std::string_view text);
Run Code(std::string_view text);

struct Heading {
  int level = 1;  // 1: section, 2: subsection
  std::string text;
  std::string number;  // "3", "3.2": Document::AddHeading sets the number
};
struct Paragraph {
  Inline text;
};
struct List {
  bool ordered = false;
  std::vector<Inline> items;
};
// A highlighted paragraph: a verdict (kPass, kWarn, kFail) or a remark (kPlain).
struct Note {
  Style tone = Style::kPlain;
  Inline text;
};
enum class Align : uint8_t { kLeft, kRight, kCenter };
struct Column {
  std::string header;
  Align align = Align::kLeft;
};
// The first cell of a row names the row.
struct Table {
  std::string caption;
  std::vector<Column> columns;
  std::vector<std::vector<Inline>> rows;
};
struct CodeBlock {
  std::string language, text;
};
struct Figure {
  Plot plot;
};
// A key figure, in large type.
struct Card {
  std::string label;
  Run value;
  std::string note;
};
struct Cards {
  std::vector<Card> cards;
};
using Block = std::variant<Heading, Paragraph, List, Note, Table, CodeBlock, Figure, Cards>;

struct Document {
  std::string language;  // "en", "zh-CN"
  std::string title, subtitle, contents_title, footer;
  std::vector<Block> blocks;

  void AddHeading(int level, std::string_view text);
  void Add(Block block) { blocks.push_back(std::move(block)); }
  void AddParagraph(std::string_view pattern, const Inline& arguments = {}) {
    Add(Paragraph{Rich(pattern, arguments)});
  }

 private:
  int section_ = 0, subsection_ = 0;
};

// figure(plot) returns the path of the plot's file, relative to the document.
std::string ToMarkdown(const Document& document,
                       const std::function<std::string(const Plot&)>& figure);
// Returns one page that needs no other file.
std::string ToHtml(const Document& document);

}  // namespace merope
