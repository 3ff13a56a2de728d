#include "report/document.h"

#include <gtest/gtest.h>

#include "report/words.h"
#include "tests/report/markup.h"

namespace merope {
namespace {

std::string NoFigure(const Plot&) { return "figure.svg"; }

Document WithBlocks(std::vector<Block> blocks) {
  Document document;
  document.language = "en";
  document.title = "A <title> & more";
  for (Block& block : blocks) document.Add(std::move(block));
  return document;
}

TEST(Rich, StylesAndArguments) {
  const Inline runs = Rich("a **b {0}** `c {1}` {2}", {"x", "y\n", merope::Run("z", Style::kPass)});
  const Inline expected = {{"a ", Style::kPlain},    {"b x", Style::kStrong}, {" ", Style::kPlain},
                           {"c y\\n", Style::kCode}, {" ", Style::kPlain},    {"z", Style::kPass}};
  EXPECT_EQ(runs, expected);
}

TEST(Rich, ArgumentsAreLiteral) {
  const Inline runs = Rich("{0}", {"**not bold** `nor code` {1}"});
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].text, "**not bold** `nor code` {1}");
}

TEST(Visible, ControlCharactersAndBrokenUtf8) {
  EXPECT_EQ(Visible("a\n\t\r\x01é"), "a\\n\\t\\r\\x01é");
  EXPECT_EQ(Visible("\xff\xc3"), "\\xff\\xc3");
  EXPECT_EQ(Visible("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // a surrogate
  EXPECT_EQ(Visible("\xc0\x80"), "\\xc0\\x80");           // overlong
  EXPECT_EQ(Visible("汉🙂"), "汉🙂");
}

TEST(EscapeMarkup, NothingOfTheTextIsMarkup) {
  EXPECT_EQ(EscapeMarkup("<b a=\"1\">&"), "&lt;b a=&quot;1&quot;&gt;&amp;");
  EXPECT_EQ(EscapeMarkup("a\xff\x01z"), "a\xef\xbf\xbd\xef\xbf\xbdz");
}

TEST(Markdown, TableCellsKeepTheTableWhole) {
  Table table{"", {{"h|h"}, {"n", Align::kRight}}, {{{"a|b\nc<i>*x*"}, {Code("p|q`r\n")}}}};
  const std::string text = ToMarkdown(WithBlocks({table}), NoFigure);
  EXPECT_NE(
      text.find("| h\\|h | n |\n| --- | ---: |\n| a\\|b↵ c&lt;i&gt;\\*x\\* | ``p\\|q`r\\n`` |\n"),
      std::string::npos)
      << text;
}

TEST(Markdown, CodeFencesOutlastTheirText) {
  const std::string text = ToMarkdown(WithBlocks({CodeBlock{"sh", "echo ```"}}), NoFigure);
  EXPECT_NE(text.find("````sh\necho ```\n````\n"), std::string::npos) << text;
}

TEST(Markdown, HeadingsAreNumbered) {
  Document document;
  document.AddHeading(1, "One");
  document.AddHeading(2, "Inner");
  document.AddHeading(1, "Two");
  document.AddHeading(2, "Inner");
  const std::string text = ToMarkdown(document, NoFigure);
  for (const char* heading : {"## 1. One\n", "### 1.1 Inner\n", "## 2. Two\n", "### 2.1 Inner\n"})
    EXPECT_NE(text.find(heading), std::string::npos) << heading;
}

TEST(Html, EveryBlockIsWellFormedAndEscaped) {
  const std::string hostile = "</td><script>alert(1)</script> & \" \xff";
  Document document = WithBlocks(
      {Heading{1, hostile, "1"}, Heading{2, "x", "1.1"}, Heading{1, "y", "2"},
       Paragraph{{hostile, Code(hostile)}}, List{false, {{hostile}}}, List{true, {{"a"}, {"b"}}},
       Note{Style::kFail, {hostile}},
       Table{hostile,
             {{hostile}, {"b", Align::kRight}},
             {{{hostile}, {merope::Run(hostile, Style::kPass)}}}},
       CodeBlock{"json", hostile}, Cards{{{hostile, merope::Run(hostile, Style::kWarn), hostile}}},
       Figure{Plot{
           .id = "p", .title = hostile, .description = hostile, .x = {.categories = {hostile}}}}});
  document.title = document.subtitle = document.footer = document.contents_title = hostile;
  const std::string html = ToHtml(document);
  EXPECT_EQ(html.find("<script"), std::string::npos);
  EXPECT_EQ(MarkupFault(html), "");
  // The page needs nothing from elsewhere.
  for (const char* outside : {"src=", "url(", "@import", "<link", "http-equiv"})
    EXPECT_EQ(html.find(outside), std::string::npos) << outside;
}

TEST(Html, TableHeadersAreScoped) {
  const std::string html = ToHtml(WithBlocks({Table{"", {{"a"}, {"b"}}, {{{"row"}, {"1"}}}}}));
  EXPECT_NE(html.find("<th scope=\"col\">a</th>"), std::string::npos);
  EXPECT_NE(html.find("<th scope=\"row\">row</th><td>1</td>"), std::string::npos);
}

TEST(Numbers, AsReadersWantThem) {
  EXPECT_EQ(Thousands(353424384), "353,424,384");
  EXPECT_EQ(Thousands(-1000), "-1,000");
  EXPECT_EQ(Thousands(999), "999");
  EXPECT_EQ(Compact(353424384), "353.4 M");
  EXPECT_EQ(Number(0.00054), "0.000540");
  EXPECT_EQ(Number(5.4e-5), "5.40×10⁻⁵");
  EXPECT_EQ(Number(-5.4e7, 2), "-5.4×10⁷");
  EXPECT_EQ(Number(33.512), "33.5");
  EXPECT_EQ(Number(0), "0");
  EXPECT_EQ(Size(53248), "52.0 KiB");
  EXPECT_EQ(Size(5), "5 B");
  EXPECT_EQ(Percent(0.000074, 4), "0.0074 %");
  EXPECT_EQ(Percent(2.57e-7, 3), "2.6×10⁻⁵ %");
  EXPECT_EQ(Percent(0), "0.00 %");
}

}  // namespace
}  // namespace merope
